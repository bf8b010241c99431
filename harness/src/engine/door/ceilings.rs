//! What a task may take of the host at most, put into each service's body on its way.

use serde_json::{Map, Value, json};

/// The site's ceilings for each task of an app under test.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ceilings {
    pub memory_bytes: u64,
    pub processes: u64,
}

/// Of what a container prints, the engine keeps so much. Nobody else bounds it.
const LOG_SIZE: (&str, &str) = ("max-size", "50m");
const LOG_FILES: (&str, &str) = ("max-file", "2");

impl Ceilings {
    /// Lowers what a service's body asks for to the ceilings. Gives what was asked for and lowered.
    pub fn put_on(&self, body: &mut Value) -> Vec<String> {
        let name = body["Name"].as_str().unwrap_or_default().to_owned();
        let mut notes = Vec::new();
        let Some(template) = object(body, "TaskTemplate") else {
            return notes;
        };
        if let Some(resources) = object_of(template, "Resources") {
            let units = [
                ("MemoryBytes", self.memory_bytes, "bytes of memory"),
                ("Pids", self.processes, "processes"),
            ];
            for (key, most, unit) in units {
                for of in ["Limits", "Reservations"] {
                    let asked = resources.get(of).and_then(|of| of[key].as_u64());
                    let asked = asked.filter(|asked| *asked > 0);
                    if let Some(asked) = asked.filter(|asked| *asked > most) {
                        notes.push(format!(
                            "{name} asks for {asked} {unit} and gets {most}, as any task on this site (`limits` in the site file)"
                        ));
                    }
                    // A reservation that nobody asked for would be one.
                    if of == "Limits" || asked.is_some_and(|asked| asked > most) {
                        let least = asked.map_or(most, |asked| asked.min(most));
                        if let Some(limits) = object_of(resources, of) {
                            limits.insert(key.to_owned(), json!(least));
                        }
                    }
                }
            }
        }
        bound_the_log(template);
        notes
    }
}

fn bound_the_log(template: &mut Map<String, Value>) {
    let Some(driver) = object_of(template, "LogDriver") else {
        return;
    };
    let name = driver.get("Name").and_then(Value::as_str).unwrap_or("");
    match name {
        "" => drop(driver.insert("Name".to_owned(), json!("json-file"))),
        "json-file" => {}
        // `local` has an end by itself, and `none` keeps nothing.
        _ => return,
    }
    if let Some(options) = object_of(driver, "Options") {
        for (key, value) in [LOG_SIZE, LOG_FILES] {
            options.entry(key).or_insert_with(|| json!(value));
        }
    }
}

fn object<'a>(value: &'a mut Value, key: &str) -> Option<&'a mut Map<String, Value>> {
    object_of(value.as_object_mut()?, key)
}

/// The object at a key; made where there is none.
fn object_of<'a>(map: &'a mut Map<String, Value>, key: &str) -> Option<&'a mut Map<String, Value>> {
    let value = map.entry(key).or_insert(Value::Null);
    if value.is_null() {
        *value = json!({});
    }
    value.as_object_mut()
}

#[cfg(test)]
mod tests {
    use super::*;

    const CEILINGS: Ceilings = Ceilings {
        memory_bytes: 1000,
        processes: 50,
    };

    fn limited(task: &Value) -> (Value, Vec<String>) {
        let mut body = json!({"Name": "s_app", "TaskTemplate": task});
        let notes = CEILINGS.put_on(&mut body);
        (body["TaskTemplate"].take(), notes)
    }

    #[rstest::rstest]
    #[case::nothing_asked(json!({}), json!({"Limits": {"MemoryBytes": 1000, "Pids": 50}}), 0)]
    #[case::null(json!({"Resources": {"Limits": null}}), json!({"Limits": {"MemoryBytes": 1000, "Pids": 50}}), 0)]
    #[case::less(
        json!({"Resources": {"Limits": {"MemoryBytes": 10, "NanoCPUs": 5}, "Reservations": {"MemoryBytes": 5}}}),
        json!({"Limits": {"MemoryBytes": 10, "NanoCPUs": 5, "Pids": 50}, "Reservations": {"MemoryBytes": 5}}),
        0
    )]
    #[case::more(
        json!({"Resources": {"Limits": {"MemoryBytes": 5000, "Pids": 60}, "Reservations": {"MemoryBytes": 2000}}}),
        json!({"Limits": {"MemoryBytes": 1000, "Pids": 50}, "Reservations": {"MemoryBytes": 1000}}),
        3
    )]
    // The engine takes it for no limit.
    #[case::zero(json!({"Resources": {"Limits": {"Pids": 0}}}), json!({"Limits": {"MemoryBytes": 1000, "Pids": 50}}), 0)]
    fn a_task_gets_no_more_than_the_ceiling(
        #[case] task: Value,
        #[case] expected: Value,
        #[case] notes: usize,
    ) {
        let (mut task, said) = limited(&task);
        assert_eq!(task["Resources"].take(), expected);
        assert_eq!(said.len(), notes, "{said:?}");
    }

    #[rstest::rstest]
    #[case::none(json!(null), json!({"Name": "json-file", "Options": {"max-size": "50m", "max-file": "2"}}))]
    #[case::own(
        json!({"Name": "json-file", "Options": {"max-size": "1m"}}),
        json!({"Name": "json-file", "Options": {"max-size": "1m", "max-file": "2"}})
    )]
    #[case::bounded(json!({"Name": "local"}), json!({"Name": "local"}))]
    #[case::no_log(json!({"Name": "none"}), json!({"Name": "none"}))]
    fn a_log_has_an_end(#[case] driver: Value, #[case] expected: Value) {
        let (mut task, _) = limited(&json!({ "LogDriver": driver }));
        assert_eq!(task["LogDriver"].take(), expected);
    }
}
