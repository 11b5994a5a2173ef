//! Downloads of files that are too large for plain HTTP.

use huddle_gateway::XetOptions;
use serde_json::{Value, json};

use super::{
    Cas, Ticket, answer_json,
    hub::{HUGE, HUGE_BLAKE3, HUGE_REPO, READER, REPO, SECRET, SECRET_REPO, WritingHub, huge_byte},
    noise,
};

const PIECE: u64 = 128 << 10;

/// A gateway with a file of 100 MB and one byte less than is offered by Xet.
async fn start() -> (Cas, Vec<u8>) {
    let content = noise(1, 100_000_007);
    let hub = WritingHub::new().with("large.bin", content.clone().into()).with("small.bin", noise(2, 1 << 20).into());
    (Cas::over(hub, XetOptions { plain_up_to: 1 << 20, ..XetOptions::default() }).await, content)
}

/// Follows the headers of a file to leave to read it.
async fn ticket(cas: &Cas, path: &str) -> (Ticket, String) {
    let known = [("Authorization", &*format!("Bearer {READER}"))];
    let head = cas.gateway.send("HEAD", path, &known, b"").await;
    let link = head.header("link").unwrap();
    let url = link.strip_prefix('<').unwrap().strip_suffix(">; rel=\"xet-auth\"").unwrap();
    let route = url.strip_prefix(&format!("http://{}", cas.gateway.address)).unwrap();
    let answer = cas.gateway.get_with(route, &known).await;
    assert_eq!(answer.status, 200);
    (Ticket::read(&answer, &cas.gateway), head.header("x-xet-hash").unwrap().to_owned())
}

/// Asks how to put a range of a file together, by the second protocol.
async fn ask(cas: &Cas, ticket: &Ticket, hash: &str, range: &str) -> Value {
    let headers = [("Authorization", &*format!("Bearer {}", ticket.token)), ("Range", range)];
    let answer = cas.gateway.get_with(&format!("{}/v2/reconstructions/{hash}", ticket.base), &headers).await;
    assert_eq!(answer.status, 200);
    answer_json(&answer)
}

/// Does what a client does with the answer.
async fn follow(cas: &Cas, plan: &Value) -> Vec<u8> {
    let mut file = Vec::new();
    for term in plan["terms"].as_array().unwrap() {
        let fetch = &plan["xorbs"][term["hash"].as_str().unwrap()][0];
        let range = &fetch["ranges"][0];
        assert_eq!(range["chunks"], term["range"]);
        let url = fetch["url"].as_str().unwrap();
        let path = url.strip_prefix(&format!("http://{}", cas.gateway.address)).unwrap();
        let wanted = format!("bytes={}-{}", range["bytes"]["start"], range["bytes"]["end"]);
        let answer = cas.gateway.get_with(path, &[("Range", &wanted)]).await;
        assert_eq!(answer.status, 206);
        let (mut rest, mut chunks, start) = (&answer.body[..], 0, file.len());
        while let Some((header, after)) = rest.split_first_chunk::<8>() {
            let length = usize::from(header[1]) | usize::from(header[2]) << 8 | usize::from(header[3]) << 16;
            assert_eq!((header[0], header[4], &header[1..4]), (0, 0, &header[5..8]));
            file.extend_from_slice(&after[..length]);
            rest = &after[length..];
            chunks += 1;
        }
        assert_eq!(chunks, term["range"]["end"].as_u64().unwrap() - term["range"]["start"].as_u64().unwrap());
        assert_eq!((file.len() - start) as u64, term["unpacked_length"].as_u64().unwrap());
    }
    file[plan["offset_into_first_range"].as_u64().unwrap() as usize..].to_vec()
}

#[tokio::test]
async fn only_files_that_are_too_large_for_plain_http_are_offered() {
    let (cas, _) = start().await;
    let large = cas.gateway.head(&format!("/{REPO}/resolve/main/large.bin")).await;
    assert_eq!((large.status, large.header("x-linked-size")), (200, Some("100000007")));
    assert_eq!(large.header("x-xet-hash").unwrap().len(), 64);
    for path in ["small.bin", "README.md"] {
        let small = cas.gateway.head(&format!("/{REPO}/resolve/main/{path}")).await;
        assert_eq!((small.header("x-xet-hash"), small.header("link")), (None, None), "{path}");
    }
    // JavaScript asks for this type, and takes it for a promise of more than is here.
    let accept = [("Accept", "application/vnd.xet-fileinfo+json, */*"), ("Range", "bytes=0-0")];
    let javascript = cas.gateway.get_with(&format!("/{REPO}/resolve/main/large.bin"), &accept).await;
    assert_eq!((javascript.status, javascript.header("content-type")), (206, Some("application/octet-stream")));
    let tree = cas.gateway.get(&format!("/api/models/{REPO}/tree/main")).await;
    assert!(!String::from_utf8(tree.body).unwrap().contains("xetHash"));
}

#[tokio::test]
async fn any_range_is_put_together_from_what_the_answer_lists() {
    let (cas, content) = start().await;
    let (ticket, hash) = ticket(&cas, &format!("/{REPO}/resolve/main/large.bin")).await;
    for (range, bytes) in [
        ("bytes=0-99999999999", 0..content.len()),
        ("bytes=0-0", 0..1),
        ("bytes=131071-131072", 131_071..131_073),
        ("bytes=67108000-67109999", 67_108_000..67_110_000),
        ("bytes=99999999-", 99_999_999..content.len()),
    ] {
        let plan = ask(&cas, &ticket, &hash, range).await;
        let file = follow(&cas, &plan).await;
        let wanted = &content[bytes.clone()];
        // The last chunk may go beyond what was asked for.
        assert!(file.starts_with(wanted) && file.len() < wanted.len() + PIECE as usize, "{range}");
    }
}

#[tokio::test]
async fn both_protocols_say_the_same() {
    let (cas, _) = start().await;
    let (ticket, hash) = ticket(&cas, &format!("/{REPO}/resolve/main/large.bin")).await;
    let second = ask(&cas, &ticket, &hash, "bytes=200000-300000").await;
    let headers = [("Authorization", &*format!("Bearer {}", ticket.token)), ("Range", "bytes=200000-300000")];
    let first = cas.gateway.get_with(&format!("{}/v1/reconstructions/{hash}", ticket.base), &headers).await;
    let first = answer_json(&first);
    assert_eq!((&first["terms"], &first["offset_into_first_range"]), (&second["terms"], &json!(200_000 - PIECE)));
    let (name, fetch) = first["fetch_info"].as_object().unwrap().iter().next().unwrap();
    let ranges = &second["xorbs"][name][0]["ranges"][0];
    assert_eq!((&fetch[0]["range"], &fetch[0]["url_range"]), (&ranges["chunks"], &ranges["bytes"]));
    assert_eq!(first["fetch_info"].as_object().unwrap().len(), 1);
}

#[tokio::test]
async fn a_file_of_60_gb_is_read_anywhere() {
    let cas = Cas::start().await;
    let (ticket, hash) = ticket(&cas, &format!("/{HUGE_REPO}/resolve/main/huge.bin")).await;
    assert_eq!(hash, HUGE_BLAKE3.to_string());
    let plan = ask(&cas, &ticket, &hash, "bytes=0-").await;
    let terms = plan["terms"].as_array().unwrap();
    assert_eq!(terms.iter().map(|term| term["unpacked_length"].as_u64().unwrap()).sum::<u64>(), HUGE);
    assert_eq!(terms.len() as u64, HUGE.div_ceil(512 * PIECE));
    for start in [0, 1 << 32, 50_000_000_000, HUGE - 1000] {
        let end = HUGE.min(start + 300_000);
        let plan = ask(&cas, &ticket, &hash, &format!("bytes={start}-{}", end - 1)).await;
        let file = follow(&cas, &plan).await;
        let wanted: Vec<u8> = (start..end).map(huge_byte).collect();
        assert!(file.starts_with(&wanted), "{start}");
    }
}

#[tokio::test]
async fn what_is_not_there_or_not_allowed_is_refused() {
    let (cas, content) = start().await;
    let (ticket, hash) = ticket(&cas, &format!("/{REPO}/resolve/main/large.bin")).await;
    let bearer = format!("Bearer {}", ticket.token);
    let get = async |path: &str, range: &str| {
        let path = format!("{}{path}", ticket.base);
        cas.gateway.get_with(&path, &[("Authorization", &bearer), ("Range", range)]).await
    };
    let file = format!("/v2/reconstructions/{hash}");
    let beyond = get(&file, &format!("bytes={}-", content.len())).await;
    assert_eq!((beyond.status, beyond.header("content-range")), (416, Some("bytes */100000007")));
    let small = huddle_protocol::BlobHash::of(&noise(2, 1 << 20));
    for path in [
        format!("/v2/reconstructions/{}", "0".repeat(64)),
        "/v2/reconstructions/x".to_owned(),
        format!("/v2/reconstructions/{small}"),
        format!("/xorbs/{hash}/2"),
        format!("/xorbs/{hash}/99999999999999999999999"),
        format!("/xorbs/{hash}/-1"),
    ] {
        assert_eq!(get(&path, "bytes=0-").await.status, 404, "{path}");
    }
    assert_eq!(get(&format!("/xorbs/{hash}/1"), "bytes=99999999-").await.status, 416);
    // A ticket is for one revision of one repository.
    for (base, token) in [
        (ticket.base.replace("up", "other"), &*ticket.token),
        (ticket.base.replace("models", "datasets"), &ticket.token),
        (format!("{}{}", &ticket.base[..ticket.base.len() - 40], "0".repeat(40)), &ticket.token),
        (ticket.base.clone(), ""),
        (ticket.base.clone(), &cas.upload().await.token),
    ] {
        for path in [&file, &format!("/xorbs/{hash}/0")] {
            let bearer = format!("Bearer {token}");
            let answer = cas.gateway.get_with(&format!("{base}{path}"), &[("Authorization", &bearer)]).await;
            assert_eq!(answer.status, 401, "{base}{path}");
        }
    }
    let whole = cas.gateway.get(&format!("{}/xorbs/{hash}/1?ticket={}", ticket.base, ticket.token)).await;
    assert_eq!(whole.status, 200);
    assert!(whole.body[8..].starts_with(&content[64 << 20..(64 << 20) + 1000]));
}

#[tokio::test]
async fn a_ticket_opens_a_private_repository() {
    let (cas, _) = start().await;
    let (ticket, hash) = ticket(&cas, &format!("/{SECRET_REPO}/resolve/main/secret.bin")).await;
    let plan = ask(&cas, &ticket, &hash, "bytes=0-").await;
    assert!(follow(&cas, &plan).await == noise(3, SECRET));
    let bare = cas.gateway.get(&format!("{}/xorbs/{hash}/0", ticket.base)).await;
    assert_eq!(bare.status, 401);
}
