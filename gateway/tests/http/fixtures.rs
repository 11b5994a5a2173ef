//! Files as models have them, small but real.

use serde_json::{Value, json};

/// A `.safetensors` file with these tensors: a type and a shape each.
pub(crate) fn safetensors(tensors: &[(&str, &str, &[u64])]) -> Vec<u8> {
    let mut header = json!({ "__metadata__": { "format": "pt" } });
    let mut end = 0;
    for (name, kind, shape) in tensors {
        let start = end;
        end += 4 * shape.iter().product::<u64>();
        header[name] = json!({ "dtype": kind, "shape": shape, "data_offsets": [start, end] });
    }
    with_header(&header, usize::try_from(end).unwrap())
}

fn with_header(header: &Value, size: usize) -> Vec<u8> {
    let header = header.to_string();
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![7; size]].concat()
}

/// A GGUF file of 12 parameters, with a chat template and a number for its quantization.
pub(crate) fn gguf(chat_template: &str, file_type: u32) -> Vec<u8> {
    let text = |text: &str| [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    let pair = |key: &str, kind: u32, value: &[u8]| [&text(key), &kind.to_le_bytes()[..], value].concat();
    let pairs = [
        pair("general.architecture", 8, &text("llama")),
        pair("general.file_type", 4, &file_type.to_le_bytes()),
        pair("llama.context_length", 4, &4096_u32.to_le_bytes()),
        pair("tokenizer.chat_template", 8, &text(chat_template)),
    ];
    let counts = [1, pairs.len() as u64].map(u64::to_le_bytes).concat();
    let shape = [3_u64, 4].map(u64::to_le_bytes).concat();
    let tensor = [&text("blk")[..], &2_u32.to_le_bytes(), &shape, &[0; 12]].concat();
    // More than git would hold.
    [b"GGUF\x03\0\0\0", &counts[..], &pairs.concat(), &tensor, &[9; 5000]].concat()
}
