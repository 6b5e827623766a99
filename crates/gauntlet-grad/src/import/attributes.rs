//! Attributes of a node, each with the kind that the specification gives it.

use gauntlet_onnx::{AttributeValue, Node};

use super::tensor::TensorReader;
use crate::array::Array;
use crate::error::{Result, malformed, unsupported};

pub(crate) struct Attributes<'n> {
    pub(super) node: &'n Node,
    pub(super) reader: &'n TensorReader<'n>,
}

impl<'n> Attributes<'n> {
    fn get(&self, name: &str) -> Result<Option<&'n AttributeValue>> {
        let mut found = self.node.attributes.iter().filter(|attribute| attribute.name == name);
        let Some(attribute) = found.next() else { return Ok(None) };
        if !attribute.reference.is_empty() {
            return unsupported("an attribute that a function's caller fills in");
        }
        match (&attribute.values[..], found.next()) {
            // An empty list is written as nothing at all.
            ([], None) => Ok(None),
            ([value], None) => Ok(Some(value)),
            _ => malformed(format!("several values of the attribute `{name}`")),
        }
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.node.attributes.iter().any(|attribute| attribute.name == name)
    }

    pub(crate) fn int(&self, name: &str, default: i64) -> Result<i64> {
        Ok(self.optional_int(name)?.unwrap_or(default))
    }

    pub(crate) fn optional_int(&self, name: &str) -> Result<Option<i64>> {
        match self.get(name)? {
            None => Ok(None),
            Some(AttributeValue::Int(n)) => Ok(Some(*n)),
            Some(_) => malformed(format!("the attribute `{name}` is no integer")),
        }
    }

    pub(crate) fn float(&self, name: &str, default: f64) -> Result<f64> {
        match self.get(name)? {
            None => Ok(default),
            Some(AttributeValue::Float(n)) => Ok(f64::from(*n)),
            Some(_) => malformed(format!("the attribute `{name}` is no float")),
        }
    }

    pub(crate) fn floats(&self, name: &str) -> Result<Option<Vec<f64>>> {
        match self.get(name)? {
            None => Ok(None),
            Some(AttributeValue::Floats(list)) => Ok(Some(list.iter().map(|n| f64::from(*n)).collect())),
            Some(_) => malformed(format!("the attribute `{name}` is no list of floats")),
        }
    }

    pub(crate) fn ints(&self, name: &str) -> Result<Option<Vec<i64>>> {
        match self.get(name)? {
            None => Ok(None),
            Some(AttributeValue::Ints(list)) => Ok(Some(list.clone())),
            Some(_) => malformed(format!("the attribute `{name}` is no list of integers")),
        }
    }

    /// Sizes: integers that are not negative.
    pub(crate) fn sizes(&self, name: &str) -> Result<Option<Vec<usize>>> {
        let Some(list) = self.ints(name)? else { return Ok(None) };
        let sizes: Option<Vec<usize>> = list.iter().map(|n| usize::try_from(*n).ok()).collect();
        sizes.map_or_else(|| malformed(format!("a negative number in `{name}`")), |sizes| Ok(Some(sizes)))
    }

    pub(crate) fn string(&self, name: &str, default: &str) -> Result<String> {
        match self.get(name)? {
            None => Ok(default.to_owned()),
            Some(AttributeValue::Bytes(bytes)) => Ok(String::from_utf8_lossy(bytes).into_owned()),
            Some(_) => malformed(format!("the attribute `{name}` is no text")),
        }
    }

    /// How many strings a list has.
    pub(crate) fn count(&self, name: &str) -> usize {
        match self.get(name) {
            Ok(Some(AttributeValue::Strings(list))) => list.len(),
            _ => 0,
        }
    }

    pub(crate) fn tensor(&self, name: &str) -> Result<Option<Array>> {
        match self.get(name)? {
            None => Ok(None),
            Some(AttributeValue::Tensor(tensor)) => self.reader.read(tensor).map(Some),
            Some(_) => malformed(format!("the attribute `{name}` is no tensor")),
        }
    }
}
