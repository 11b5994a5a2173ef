//! The hashes of Xet: of chunks, of xorbs and files as trees over chunks, and of the ranges a shard vouches for.
//!
//! All are keyed BLAKE3; the keys are constants of the format. Pure.

use std::{fmt, str::FromStr};

const DATA_KEY: [u8; 32] = [
    0x66, 0x97, 0xf5, 0x77, 0x5b, 0x95, 0x50, 0xde, 0x31, 0x35, 0xcb, 0xac, 0xa5, 0x97, 0x18, 0x1c, 0x9d, 0xe4, 0x21,
    0x10, 0x9b, 0xeb, 0x2b, 0x58, 0xb4, 0xd0, 0xb0, 0x4b, 0x93, 0xad, 0xf2, 0x29,
];
const NODE_KEY: [u8; 32] = [
    0x01, 0x7e, 0xc5, 0xc7, 0xa5, 0x47, 0x29, 0x96, 0xfd, 0x94, 0x66, 0x66, 0xb4, 0x8a, 0x02, 0xe6, 0x5d, 0xdd, 0x53,
    0x6f, 0x37, 0xc7, 0x6d, 0xd2, 0xf8, 0x63, 0x52, 0xe6, 0x4a, 0x53, 0x71, 0x3f,
];
const RANGE_KEY: [u8; 32] = [
    0x7f, 0x18, 0x57, 0xd6, 0xce, 0x56, 0xed, 0x66, 0x12, 0x7f, 0xf9, 0x13, 0xe7, 0xa5, 0xc3, 0xf3, 0xa4, 0xcd, 0x26,
    0xd5, 0xb5, 0xdb, 0x49, 0xe6, 0x41, 0x24, 0x98, 0x7f, 0x28, 0xfb, 0x94, 0xc3,
];
const FILE_KEY: [u8; 32] = [0; 32];

/// A hash as Xet writes it: every eight bytes are a number whose lowest byte comes first, and text shows the numbers.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub(crate) struct XetHash(pub(super) [u8; 32]);

impl XetHash {
    /// The hash of a chunk.
    pub(super) fn of_chunk(bytes: &[u8]) -> Self {
        Self::keyed(&DATA_KEY, bytes)
    }

    /// The hash of a file whose chunks have this tree.
    pub(super) fn of_file(tree: Tree) -> Self {
        if tree.levels.is_empty() { Self::default() } else { Self::keyed(&FILE_KEY, &tree.root().0) }
    }

    fn keyed(key: &[u8; 32], bytes: &[u8]) -> Self {
        Self(*blake3::keyed_hash(key, bytes).as_bytes())
    }

    /// Reports whether a tree may end a group behind this node.
    fn ends_group(&self) -> bool {
        self.0[24].is_multiple_of(4)
    }

    /// Returns the bytes in the order in which text shows them, which is how other programs know a SHA-256.
    pub(super) fn in_text_order(mut self) -> [u8; 32] {
        self.0.chunks_exact_mut(8).for_each(<[u8]>::reverse);
        self.0
    }
}

impl fmt::Display for XetHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.in_text_order().iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for XetHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "XetHash({self})")
    }
}

/// Text that is not 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 64 lower-case hexadecimal digits")]
pub(crate) struct ParseHashError;

impl FromStr for XetHash {
    type Err = ParseHashError;

    fn from_str(text: &str) -> Result<Self, ParseHashError> {
        // A SHA-256 is as long, and its text is read as strictly.
        let bytes = text.parse::<huddle_protocol::Sha256>().map_err(|_| ParseHashError)?;
        Ok(Self(Self(bytes.0).in_text_order()))
    }
}

/// The hash over the hashes of a range of chunks, taken one by one.
#[derive(Debug)]
pub(super) struct RangeHash(blake3::Hasher);

impl RangeHash {
    pub(super) fn new() -> Self {
        Self(blake3::Hasher::new_keyed(&RANGE_KEY))
    }

    pub(super) fn push(&mut self, chunk: &XetHash) {
        self.0.update(&chunk.0);
    }

    pub(super) fn finish(&self) -> XetHash {
        XetHash(*self.0.finalize().as_bytes())
    }
}

/// A node of a tree: its hash and how many bytes are below it.
#[derive(Clone, Copy, Debug)]
struct Node {
    hash: XetHash,
    size: u64,
}

/// The fewest and the most nodes of a group that is not the last of its level.
const GROUP: std::ops::RangeInclusive<usize> = 3..=9;

/// A tree over chunks that come one by one. It keeps the open group of each level, so its size does not depend on
/// theirs.
#[derive(Clone, Debug, Default)]
pub(super) struct Tree {
    levels: Vec<Vec<Node>>,
}

impl Tree {
    /// Adds a chunk of `size` bytes.
    pub(super) fn push(&mut self, hash: XetHash, size: u64) {
        self.add(0, Node { hash, size });
    }

    /// Returns the hash of the whole, zeros if there is nothing.
    pub(super) fn root(mut self) -> XetHash {
        let mut level = 0;
        loop {
            let is_top = level + 1 >= self.levels.len();
            match self.levels.get_mut(level).map(std::mem::take) {
                None => return XetHash::default(),
                Some(nodes) if is_top && nodes.len() == 1 => return nodes[0].hash,
                // What is left is too little for more than one group.
                Some(nodes) if !nodes.is_empty() => self.add(level + 1, join(&nodes)),
                Some(_) => {}
            }
            level += 1;
        }
    }

    /// Adds a node; a level more for every two chunks at least, so this is shallow.
    fn add(&mut self, level: usize, node: Node) {
        if self.levels.len() == level {
            self.levels.push(Vec::new());
        }
        let group = &mut self.levels[level];
        group.push(node);
        if group.len() == *GROUP.end() || (GROUP.contains(&group.len()) && node.hash.ends_group()) {
            let parent = join(group);
            group.clear();
            self.add(level + 1, parent);
        }
    }
}

fn join(nodes: &[Node]) -> Node {
    let text: String = nodes.iter().map(|node| format!("{} : {}\n", node.hash, node.size)).collect();
    let size = nodes.iter().fold(0_u64, |sum, node| sum.saturating_add(node.size));
    Node { hash: XetHash::keyed(&NODE_KEY, text.as_bytes()), size }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The nodes of the reference vectors; the size of each is a hundred times its place.
    const NODES: [&str; 8] = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "cfc5d07f6f03c29bbf424132963fe08d19a37d5757aaf520bf08119f05cd56d6",
        "c3e67584b5c4fc2a89837ec39e40f2c8a6bb0b2987ac94cd4b31e5fbdd210a72",
        "0d2beb91b9196929a5ddec9f6e306924ddf4a24268e3e59fd8464738d525af37",
        "adf8773496a9b7319b2e50dc98093f344053b17d8ad37100b9c07d9805988784",
        "4ac202caf347fc1e9c874b1ef6a1c5e619141eb775a6f43f0f0124ccd0060d9e",
        "b3b28636f65c149ea52eb1f94669466f70f033b54cea792824c696ba6ef3c389",
        "0e2c1a002aae913d2c0fc8ddfa4e9e14b7b311b3b0d458726d5d9f6a6318013c",
    ];

    fn tree(places: &[usize]) -> Tree {
        let mut tree = Tree::default();
        for &place in places {
            tree.push(NODES[place].parse().unwrap(), place as u64 * 100);
        }
        tree
    }

    #[test]
    fn trees_are_those_of_the_reference() {
        let long: Vec<_> = (0..64).map(|n| n % 8).collect();
        for (places, root, file) in [
            (&[][..], NODES[0], NODES[0]),
            (&[0], NODES[0], "638a6bc391964a85939d48f008e8bdbae6a7975e7ca2d87a3ce2492f4e4d8a4c"),
            (&[1], NODES[1], "8e16257caa3fe079d484d872a8975264b2ff683b0d6db9028cc7c0f968a45661"),
            (
                &[1, 2, 3],
                "71ec1275fca074724e2dd666921b3277c7cee603e4d025bcab2d4050015be2bc",
                "54e55dccc6653c612bdb5576c5d3cb34bb31bc4e100248abccf4c908b3ef7715",
            ),
            (
                &[1, 1, 1, 1],
                "89f2ada89ff8c96763c6b25010e6dd76a4c05b1466207633ea559acf2093211b",
                "2cdba690d0e09563596e0cda626d43eb4c96ef1e994fe72d9b2f5a83cfcd36dd",
            ),
            (
                &[1, 2, 1, 2, 3, 4],
                "52c826f99507aa05d0b45e9837fa1709e0485425cfbcb1e80db3905cf98b3ee9",
                "91d21684db364c8883ab8209fa5eb2e781cf07f37e1fa43e731c30839afe422f",
            ),
            (
                &[0, 1, 0, 1, 0],
                "f36c6a6374a567efd36ed087aeb680b57e3af4e0b5b8e7be2593df4cb647a2de",
                "ab2f46d31855e1133b3b5b70e78f841394a648710a208923b221c1a8a0572a1f",
            ),
            (
                &[3, 4, 5, 5, 5],
                "2c1fd1eca47e284512fcb40fcf45a1874939f9b91c774d46aeba5d004d9d263d",
                "0799ba7ee2c3fed173a8e8d832cd13970ddc16070ffbc8aa6dcd77476f66dc73",
            ),
            (
                &[0, 1, 2, 3, 4, 5, 6, 7],
                "f62abe77e3fb9c954fe52b0028027ddc90c064c45951a4fd2211d87e5c0011db",
                "d1b068be5bbdb38992269e8efe61f601881e39f7a7585fd76883cc6ea5c23b44",
            ),
            (
                &long,
                "6554007c9b5d0a5e7918f79596a1b68815c1407535585435f5735db761f21b88",
                "a8640ab81d48854e00078e12b1ea8be5d90be0ffb5f73a15b7009981d093ddd8",
            ),
        ] {
            assert_eq!(tree(places).root().to_string(), root, "{places:?}");
            assert_eq!(XetHash::of_file(tree(places)).to_string(), file, "{places:?}");
        }
    }

    /// Writes the rule down as the specification has it, level by level over all nodes.
    fn by_levels(mut nodes: Vec<Node>) -> XetHash {
        while nodes.len() > 1 {
            let mut rest = nodes.as_slice();
            let mut next = Vec::new();
            while !rest.is_empty() {
                let most = rest.len().min(9);
                let natural = (2..most).find(|&at| rest[at].hash.ends_group());
                let (group, after) = rest.split_at(natural.map_or(most, |at| at + 1));
                next.push(join(group));
                rest = after;
            }
            nodes = next;
        }
        nodes.first().map_or_else(XetHash::default, |node| node.hash)
    }

    #[test]
    fn a_tree_of_any_length_is_the_same_in_one_pass() {
        let nodes: Vec<_> =
            (0_u32..1200).map(|n| Node { hash: XetHash::of_chunk(&n.to_le_bytes()), size: u64::from(n) }).collect();
        let mut tree = Tree::default();
        for (count, node) in nodes.iter().enumerate() {
            assert_eq!(tree.clone().root(), by_levels(nodes[..count].to_vec()), "{count}");
            tree.push(node.hash, node.size);
        }
        assert!(tree.levels.iter().all(|level| level.len() < 9) && tree.levels.len() < 12);
    }

    #[test]
    fn text_is_read_as_it_is_written_and_strictly() {
        let text = "0706050403020100f0e0d0c0b0a0908000000000000000000000000000000001";
        let hash: XetHash = text.parse().unwrap();
        assert_eq!((hash.0[..8].to_vec(), hash.0[24]), ((0..8).collect(), 1));
        assert_eq!(hash.to_string(), text);
        for wrong in ["", "07", &text.to_uppercase().replace('0', "A"), &text.replace('0', "g"), &format!("{text}0")] {
            assert!(wrong.parse::<XetHash>().is_err(), "{wrong}");
        }
    }
}
