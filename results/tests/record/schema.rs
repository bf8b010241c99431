use std::path::Path;

use rstest::rstest;

#[rstest]
#[case("result.schema.json", results::schema::result())]
#[case("event.schema.json", results::schema::event())]
#[case("summary.schema.json", results::schema::summary())]
fn the_schema_that_is_checked_in_is_that_of_the_types(#[case] name: &str, #[case] made: String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("schema")
        .join(name);
    if std::env::var_os("UPDATE_SCHEMA").is_some() {
        std::fs::write(&path, &made).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == made,
        "{} is not the schema of the types. If the change is meant (a field more is; a field less, \
         or of another type, needs a new schema number), run\n  \
         UPDATE_SCHEMA=1 cargo test -p results schema\nand check the file in.",
        path.display()
    );
}
