//! `gauntlet rule`: the manual, one rule at a time.

use std::fmt::Write as _;

use gauntlet_core::{CheckInfo, RuleInfo, nearest};

use crate::cli::RuleCommand;
use crate::exit::{Exit, UsageError};
use crate::gates;
use crate::terminal;

pub(crate) fn run(command: &RuleCommand) -> anyhow::Result<Exit> {
    match command {
        RuleCommand::List => terminal::print(&list())?,
        RuleCommand::Show { rule } => terminal::print(&show(rule)?)?,
    }
    Ok(Exit::Allowed)
}

fn list() -> String {
    let width = gates::rules().map(|(_, rule)| rule.id.len()).max().unwrap_or(0);
    let mut text = String::new();
    for (_, rule) in gates::rules().filter(|(_, rule)| rule.retired.is_none()) {
        let _ = writeln!(text, "{:width$}  {:8}  {}", rule.id, rule.severity, rule.title);
    }
    text
}

fn show(id: &str) -> anyhow::Result<String> {
    if let Some(check) = gates::checks().find(|check| check.id == id) {
        return Ok(check.page.to_owned());
    }
    let named = |rule: &RuleInfo| rule.id == id || rule.renamed_from.contains(&id);
    if let Some((check, rule)) = gates::rules().find(|(_, rule)| named(rule)) {
        return Ok(page(check, rule));
    }
    let known = gates::rules().map(|(_, rule)| rule.id).chain(gates::checks().map(|check| check.id));
    let hint = nearest(id, known).map(|name| format!(", did you mean `{name}`?")).unwrap_or_default();
    Err(UsageError::new(format!("there is no rule `{id}`{hint} `gauntlet rule list` lists them")).into())
}

fn page(check: &CheckInfo, rule: &RuleInfo) -> String {
    let mut text = format!("{}: {} ({}, since {})\n", rule.id, rule.title, rule.severity, rule.since);
    if let Some(retired) = rule.retired {
        let _ = writeln!(text, "Retired: {retired}");
    }
    let name = rule.id.rsplit('/').next().unwrap_or(rule.id);
    if let Some(section) = section(check.page, name) {
        let _ = write!(text, "\n{section}");
    }
    let _ = write!(text, "\nFix: {}\n", rule.fix);
    if !rule.references.is_empty() {
        let _ = writeln!(text, "References: {}", rule.references.join(", "));
    }
    text
}

/// The part of a Markdown page below the heading that names `name`, up to the next heading of its level or above.
fn section(page: &str, name: &str) -> Option<String> {
    let level = |line: &str| line.chars().take_while(|c| *c == '#').count();
    let mut lines = page.lines();
    let heading = lines.find(|line| line.starts_with('#') && line.contains(name))?;
    let mut text = String::new();
    let mut fenced = false;
    for line in lines {
        fenced ^= line.starts_with("```");
        if !fenced && (1..=level(heading)).contains(&level(line)) {
            break;
        }
        text.push_str(line);
        text.push('\n');
    }
    Some(format!("{}\n", text.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_end_at_the_next_heading_but_not_inside_code() {
        let page = "# p\n## one\nfirst\n```\n# comment\n```\n### deeper\nmore\n## two\nother\n";
        assert_eq!(section(page, "one").unwrap(), "first\n```\n# comment\n```\n### deeper\nmore\n");
        assert_eq!(section(page, "three"), None);
    }
}
