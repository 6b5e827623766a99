//! Says of each model named on the command line whether it has a gradient graph, and why not. With `--output FOLDER`
//! before the models, writes `NAME.forward.onnx` and `NAME.backward.onnx` there.
#![expect(clippy::print_stdout, reason = "a program for the command line")]

use std::error::Error;
use std::fs::File;
use std::path::{Path, PathBuf};

use gauntlet_grad::{Differentiable, Options};
use gauntlet_limits::Budget;
use gauntlet_onnx::Model;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let mut output: Option<PathBuf> = None;
    while let Some(argument) = arguments.next() {
        if argument == "--output" {
            output = arguments.next().map(PathBuf::from);
            continue;
        }
        let path = Path::new(&argument);
        match graphs(path) {
            Ok(graphs) => {
                let shape: Vec<String> = graphs.gradient().shape.iter().map(ToString::to_string).collect();
                let (target, residuals) = (&graphs.target().name, graphs.outputs().len() - 1);
                println!("{argument}: gradient of `{target}` [{}], {residuals} residuals", shape.join(", "));
                if let (Some(folder), Some(name)) = (&output, path.file_stem().and_then(|name| name.to_str())) {
                    std::fs::write(folder.join(format!("{name}.forward.onnx")), graphs.forward())?;
                    std::fs::write(folder.join(format!("{name}.backward.onnx")), graphs.backward())?;
                }
            }
            Err(error) => println!("{argument}: {error}"),
        }
    }
    Ok(())
}

fn graphs(path: &Path) -> Result<Differentiable, Box<dyn Error>> {
    let (file, budget) = (File::open(path)?, Budget::default());
    let model = Model::read(&file, &budget)?;
    Ok(Differentiable::new(&model, &file, &Options::default(), &budget)?)
}
