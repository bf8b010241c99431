//! Where a run takes place: zone, catalogue, engine, proxy, limits, state directory.
