//! A figure: what was measured, against what, and what is aimed at.

use serde::Serialize;

/// What a figure should be.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Aim {
    AtMost(f64),
    AtLeast(f64),
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Figure {
    pub name: String,
    pub value: f64,
    /// `s`, `ms`, `MiB`, `x` for a ratio; empty for a number of things.
    pub unit: &'static str,
    pub aim: Option<Aim>,
    /// How it was measured, and what is in it.
    pub how: String,
    /// All single values, in the order in which they were measured.
    pub raw: Vec<f64>,
}

impl Figure {
    /// The median of what was measured.
    pub fn median(name: impl Into<String>, unit: &'static str, raw: Vec<f64>, how: &str) -> Self {
        Self {
            name: name.into(),
            value: median(&raw),
            unit,
            aim: None,
            how: how.to_owned(),
            raw,
        }
    }

    pub fn aim(mut self, aim: Aim) -> Self {
        self.aim = Some(aim);
        self
    }

    fn verdict(&self) -> &'static str {
        match self.aim {
            None => "",
            Some(Aim::AtMost(aim)) if self.value <= aim => "met",
            Some(Aim::AtLeast(aim)) if self.value >= aim => "met",
            Some(_) => "missed",
        }
    }

    fn row(&self) -> [String; 5] {
        let aim = match self.aim {
            None => String::new(),
            Some(Aim::AtMost(aim)) => format!("<= {aim}"),
            Some(Aim::AtLeast(aim)) => format!(">= {aim}"),
        };
        let value = match self.unit {
            "ms" | "MiB" => format!("{:.1}", self.value),
            // All of its digits: 1.02 requests are not one.
            "" => format!("{}", (self.value * 1_000.0).round() / 1_000.0),
            _ => format!("{:.2}", self.value),
        };
        [
            self.name.clone(),
            format!("{value} {}", self.unit).trim_end().to_owned(),
            aim,
            self.verdict().to_owned(),
            self.how.clone(),
        ]
    }
}

/// The middle value; of an even number the mean of the two. Of nothing: not a number.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match (sorted.len() / 2, sorted.len() % 2) {
        (0, 0) => f64::NAN,
        (middle, 0) => f64::midpoint(sorted[middle - 1], sorted[middle]),
        (middle, _) => sorted[middle],
    }
}

/// Aligned columns, for people.
pub fn table(figures: &[Figure]) -> String {
    let head = ["figure", "value", "aim", "", "how"].map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(head)
        .chain(figures.iter().map(Figure::row))
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let (name, value, aim, verdict) = (width(0), width(1), width(2), width(3));
    let lines = rows.iter().map(|row| {
        let [a, b, c, d, e] = row;
        format!("{a:name$}  {b:>value$}  {c:aim$}  {d:verdict$}  {e}")
            .trim_end()
            .to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case(&[3.0, 1.0, 2.0], 2.0)]
    #[case(&[4.0, 1.0, 2.0, 3.0], 2.5)]
    #[case(&[7.0], 7.0)]
    fn the_median_is_the_middle(#[case] values: &[f64], #[case] expected: f64) {
        assert!((median(values) - expected).abs() < f64::EPSILON);
    }

    #[test]
    fn nothing_measured_meets_no_aim() {
        let none = Figure::median("x", "ms", Vec::new(), "").aim(Aim::AtMost(20.0));
        assert_eq!(none.verdict(), "missed");
    }

    #[test]
    fn a_table_shows_which_aims_are_met() {
        let figures = [
            Figure::median("listing", "ms", vec![4.0, 5.0, 9.0], "20 listings")
                .aim(Aim::AtMost(20.0)),
            Figure::median("whole run, ratio", "x", vec![0.8], "medians").aim(Aim::AtMost(0.75)),
            Figure::median("removal", "s", vec![0.6], "from the events"),
            Figure::median("violations", "", vec![0.0], "a trial").aim(Aim::AtMost(0.0)),
        ];
        insta::assert_snapshot!(table(&figures), @r"
        figure             value  aim              how
        listing           5.0 ms  <= 20    met     20 listings
        whole run, ratio  0.80 x  <= 0.75  missed  medians
        removal           0.60 s                   from the events
        violations             0  <= 0     met     a trial
        ");
    }
}
