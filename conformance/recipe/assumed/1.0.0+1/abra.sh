# This recipe has no configs.
