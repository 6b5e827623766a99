//! Whether a Java object stream names classes that run something when they are read.

use gauntlet_core::{Check, CheckInfo, Facts, Judgement, Judging, Location, Severity, Stage};

use super::{FINDINGS, each, rule};
use crate::facts::JavaFact;

/// `artifact/java`
pub(crate) struct Java;

pub(crate) static INFO: CheckInfo = CheckInfo {
    id: super::JAVA,
    version: 1,
    stage: Stage::Artifact,
    title: "Which classes would a Java object stream make?",
    rules: &[
        rule!(
            "artifact/java/gadget-class",
            High,
            "a class that known attacks use to run code from an object stream",
            "Do not read the stream; no model needs this class.",
            ["CWE-502", "CVE-2015-7501", "CVE-2015-4852", "OWASP ML06:2023", "AML.T0010.003"]
        ),
        rule!(
            "artifact/java/object-stream",
            Medium,
            "the file is a stream of Java objects",
            "Keep models in a format without code, such as ONNX or PMML; if it must be read, read it with a class filter.",
            ["CWE-502", "OWASP ML06:2023"]
        ),
    ],
    page: include_str!("../../../../docs/src/checks/artifact-java.md"),
};

impl Check for Java {
    fn info(&self) -> &'static CheckInfo {
        &INFO
    }

    fn judge(&self, facts: &Facts, _judging: &Judging<'_>) -> Judgement {
        let mut judgement = Judgement::default();
        each::<JavaFact>(facts, &mut judgement, |location, fact, judgement| java(location, &fact, judgement));
        judgement
    }
}

fn java(location: &Location, JavaFact(facts): &JavaFact, judgement: &mut Judgement) {
    for class in facts.classes.iter().filter(|class| is_gadget(class)).take(FINDINGS) {
        let draft = super::draft(&INFO, "gadget-class", location, format!("an object of the class `{class}`"));
        judgement.findings.push(draft.snippet(class));
    }
    let unknown = facts.classes.iter().filter(|class| !is_plain(class)).count();
    let message = match facts.classes.as_slice() {
        [] => "a stream of Java objects without a class".to_owned(),
        [first, ..] => format!("a stream of Java objects of {} classes, the first is `{first}`", facts.classes.len()),
    };
    // Numbers, texts and collections of them run nothing.
    let severity = if unknown == 0 { Severity::Low } else { Severity::Medium };
    judgement.findings.push(super::draft(&INFO, "object-stream", location, message).severity(severity));
}

/// Classes of the public gadget chains.
fn is_gadget(class: &str) -> bool {
    const PREFIXES: [&str; 32] = [
        "org.apache.commons.collections.functors.",
        "org.apache.commons.collections4.functors.",
        "org.apache.commons.collections.keyvalue.TiedMapEntry",
        "org.apache.commons.collections4.keyvalue.TiedMapEntry",
        "org.apache.commons.collections.map.LazyMap",
        "org.apache.commons.collections4.map.LazyMap",
        "org.apache.commons.collections4.comparators.TransformingComparator",
        "org.apache.commons.beanutils.BeanComparator",
        "com.sun.org.apache.xalan.internal.xsltc.trax.TemplatesImpl",
        "org.apache.xalan.xsltc.trax.TemplatesImpl",
        "com.sun.rowset.JdbcRowSetImpl",
        "com.sun.syndication.feed.impl.",
        "com.rometools.rome.feed.impl.",
        "org.codehaus.groovy.runtime.",
        "org.springframework.beans.factory.support.",
        "org.springframework.core.SerializableTypeWrapper",
        "org.springframework.aop.",
        "javax.management.BadAttributeValueExpException",
        "sun.reflect.annotation.AnnotationInvocationHandler",
        "com.mchange.v2.c3p0.",
        "java.rmi.server.",
        "sun.rmi.",
        "bsh.",
        "clojure.",
        "org.mozilla.javascript.",
        "org.python.core.",
        "org.hibernate.engine.spi.TypedValue",
        "javassist.util.proxy.",
        "org.jboss.interceptor.",
        "java.net.URL",
        "java.lang.ProcessBuilder",
        "java.lang.Runtime",
    ];
    let class = class.trim_start_matches('[').trim_start_matches('L');
    PREFIXES.iter().any(|prefix| class.starts_with(prefix)) && class != "java.net.URLStreamHandler"
}

/// Values of the language itself.
fn is_plain(class: &str) -> bool {
    let class = class.trim_start_matches('[');
    if class.len() <= 1 {
        return true;
    }
    let class = class.strip_prefix('L').filter(|_| class.ends_with(';')).unwrap_or(class).trim_end_matches(';');
    let numbers =
        ["Number", "Integer", "Long", "Short", "Byte", "Double", "Float", "Boolean", "Character", "String", "Enum"];
    let lang = class.strip_prefix("java.lang.").is_some_and(|name| numbers.contains(&name));
    let lists = [
        "ArrayList",
        "LinkedList",
        "HashMap",
        "LinkedHashMap",
        "TreeMap",
        "HashSet",
        "TreeSet",
        "LinkedHashSet",
        "Date",
    ];
    let util = class.strip_prefix("java.util.").is_some_and(|name| lists.contains(&name));
    lang || util || class.starts_with("java.math.Big")
}
