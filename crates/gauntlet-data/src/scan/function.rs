//! Aggregate functions of ours that need nothing but their arguments. State and answer of each are the same bytes.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::marker::PhantomData;

use arrow::datatypes::{DataType, FieldRef};
use datafusion::error::Result;
use datafusion::logical_expr::function::{AccumulatorArgs, StateFieldsArgs};
use datafusion::logical_expr::{Accumulator, AggregateUDF, AggregateUDFImpl, Signature};

use super::rows::state_field;

/// The function `name`, whose state is `S` and begins empty.
pub(super) fn aggregate<S: Accumulator + Default + 'static>(name: &'static str, signature: Signature) -> AggregateUDF {
    AggregateUDF::new_from_impl(Function::<S> { name, signature, state: PhantomData })
}

struct Function<S> {
    name: &'static str,
    signature: Signature,
    state: PhantomData<fn() -> S>,
}

// By hand, because a state need not be comparable for its function to be.
impl<S> fmt::Debug for Function<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Function").field("name", &self.name).finish_non_exhaustive()
    }
}

impl<S> PartialEq for Function<S> {
    fn eq(&self, other: &Self) -> bool {
        (self.name, &self.signature) == (other.name, &other.signature)
    }
}

impl<S> Eq for Function<S> {}

impl<S> Hash for Function<S> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.name.hash(state);
        self.signature.hash(state);
    }
}

impl<S: Accumulator + Default + 'static> AggregateUDFImpl for Function<S> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn signature(&self) -> &Signature {
        &self.signature
    }

    fn return_type(&self, _arguments: &[DataType]) -> Result<DataType> {
        Ok(DataType::Binary)
    }

    fn accumulator(&self, _arguments: AccumulatorArgs<'_>) -> Result<Box<dyn Accumulator>> {
        Ok(Box::new(S::default()))
    }

    fn state_fields(&self, arguments: StateFieldsArgs<'_>) -> Result<Vec<FieldRef>> {
        Ok(vec![state_field(arguments.name)])
    }
}
