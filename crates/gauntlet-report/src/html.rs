//! HTML: one page without scripts or references to anything outside it.

use minijinja::value::{Serde, Value};
use minijinja::{Environment, context};

use crate::escape::terminal;
use crate::run::RunReport;

/// The result as one HTML page.
///
/// # Errors
/// When the template cannot be rendered, which is a defect of ours.
pub fn html(run: &RunReport) -> Result<String, minijinja::Error> {
    let mut environment = Environment::new();
    // Escaping follows from the name's ending.
    environment.add_template("report.html", include_str!("../templates/report.html"))?;
    environment.add_filter("visible", |text: String| terminal(&text));
    let enforced = run.decisions.iter().find(|d| d.enforced);
    environment
        .get_template("report.html")?
        .render(context! { run => Value::from(Serde(run)), enforced => Value::from(Serde(enforced)) })
}
