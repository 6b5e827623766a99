//! Consent and age row by row.

use gauntlet_core::{Comparison, Facts, Judging, Metric};
use jiff::civil::date;

use super::super::{at_first, day, facts_of, first_rows, grouped, percent, share};
use super::{Manifested, count, today};
use crate::facts::{AgeFact, ConsentFact, ExpiryFact, RowSample};

impl Manifested<'_> {
    pub(super) fn rows(&mut self, facts: &Facts, judging: &Judging<'_>) {
        for (_, fact) in facts_of::<ConsentFact>(facts, self.out) {
            self.judged(
                &fact,
                "row-without-consent",
                "consent.column",
                "rows-without-consent",
                "holds the consent of each row",
                "have no valid consent",
            );
        }
        for (_, AgeFact(fact)) in facts_of::<AgeFact>(facts, self.out) {
            self.judged(
                &fact,
                "row-without-age-verification",
                "age_verification.column",
                "rows-without-age-verification",
                "proves the age of the person behind each row",
                "prove no sufficient age",
            );
        }
        for (_, fact) in facts_of::<ExpiryFact>(facts, self.out) {
            self.expired(&fact, judging);
        }
    }

    fn judged(&mut self, fact: &ConsentFact, rule: &str, field: &str, metric: &str, role: &str, seen: &str) {
        if !fact.present {
            self.add(rule, field, format!("the table has no column `{}` that {role}", fact.column));
            return;
        }
        let metric = Metric::new(metric, count(fact.failing), "rows").field(&fact.column);
        self.out.metrics.push(metric.must(Comparison::AtMost, 0.0));
        if fact.failing > 0 {
            let message = format!(
                "{} of {} rows ({}) {seen} in `{}`, {} of them no value at all{}",
                grouped(fact.failing),
                grouped(fact.rows),
                percent(share(fact.failing, fact.rows)),
                fact.column,
                grouped(fact.nulls),
                first_rows(&fact.first)
            );
            self.add_rows(rule, at_first(&fact.first, &fact.column), message, &fact.column);
        }
    }

    fn expired(&mut self, fact: &ExpiryFact, judging: &Judging<'_>) {
        const RULE: &str = "row-consent-expired";
        if !fact.present {
            let what =
                format!("the table has no column `{}` that holds the last day of each row's consent", fact.column);
            self.add(RULE, "consent.expires_column", what);
            return;
        }
        let today = today(judging);
        let number = date(1970, 1, 1).until(today).map_or(i32::MAX, |span| span.get_days());
        let passed: u64 = fact.days.iter().filter(|(day, _)| *day < number).map(|(_, rows)| rows).sum();
        let failing = passed + fact.missing;
        let metric = Metric::new("rows-with-expired-consent", count(failing), "rows").field(&fact.column);
        self.out.metrics.push(metric.must(Comparison::AtMost, 0.0));
        if let Some(next) = fact.days.iter().map(|(day, _)| *day).find(|day| *day >= number) {
            let name = "first-consent-expires";
            self.out.metrics.push(Metric::new(name, f64::from(next), "days since 1970-01-01").field(&fact.column));
        }
        if failing == 0 {
            return;
        }
        let expired = fact.earliest.iter().filter(|(day, _)| *day < number).map(|(_, row)| row.clone());
        let first: Vec<RowSample> = expired.chain(fact.first_missing.iter().cloned()).collect();
        let oldest = fact.days.first().filter(|(day, _)| *day < number);
        let message = format!(
            "the consent of {} of {} rows ({}) had ended on {today} by `{}`, {} of them without a last day{}{}",
            grouped(failing),
            grouped(fact.rows),
            percent(share(failing, fact.rows)),
            fact.column,
            grouped(fact.missing),
            oldest.map_or_else(String::new, |(first, _)| format!("; the first ended on {}", day(*first))),
            first_rows(&first)
        );
        self.add_rows(RULE, at_first(&first, &fact.column), message, &fact.column);
    }
}
