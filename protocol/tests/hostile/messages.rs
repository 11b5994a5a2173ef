//! Requests and answers.

use huddle_protocol::{CborError, MessageError, Request, Response, limits};

use crate::{forge::Cbor, payload::*};

fn availability(holdings: Vec<Cbor>) -> Result<Response, MessageError> {
    let response = Cbor::map([("availability", Cbor::map([("holdings", Cbor::List(holdings))]))]);
    Response::from_bytes(&response.encode())
}

fn partial(size: u64, ranges: &[(u64, u64)]) -> Cbor {
    let ranges = ranges.iter().map(|(from, to)| Cbor::List(vec![Cbor::Uint(*from), Cbor::Uint(*to)])).collect();
    Cbor::map([("partial", Cbor::map([("size", Cbor::Uint(size)), ("ranges", Cbor::List(ranges))]))])
}

#[test]
fn ranges_that_make_no_sense_are_refused() {
    availability(vec![partial(10, &[(0, 1), (2, 10)])]).unwrap();
    for ranges in [&[(0, 0)][..], &[(2, 1)], &[(0, 11)], &[(5, 6), (0, 1)], &[(0, 2), (1, 3)], &[(0, 1), (1, 2)]] {
        assert_eq!(availability(vec![partial(10, ranges)]), Err(MessageError::Ranges), "{ranges:?}");
    }
}

#[test]
fn a_holding_is_written_inside_its_map_and_nowhere_else() {
    let size = || Cbor::map([("size", Cbor::Uint(5))]);
    for holdings in [
        vec![Cbor::text("complete"), size()],
        vec![Cbor::map([("missing", Cbor::text("complete"))]), size()],
        vec![Cbor::map([("missing", Cbor::Null)])],
        vec![Cbor::map([("complete", size()), ("zz", Cbor::Null)])],
        vec![Cbor::map([])],
        vec![Cbor::text("partial")],
    ] {
        let result = availability(holdings.clone());
        assert!(matches!(result, Err(MessageError::Cbor(_))), "{holdings:?}: {result:?}");
    }
    availability(vec![Cbor::text("missing"), Cbor::map([("complete", size())])]).unwrap();
}

#[test]
fn an_unknown_or_ambiguous_message_is_refused() {
    let head = || Cbor::map([("repo", Cbor::text(repo()))]);
    for request in [
        Cbor::text("head"),
        Cbor::map([("Head", head())]),
        Cbor::map([("later", head())]),
        Cbor::map([("head", head()), ("later", head())]),
        Cbor::map([("head", Cbor::List(vec![Cbor::text(repo())]))]),
        Cbor::map([]),
        Cbor::Null,
    ] {
        let result = Request::from_bytes(&request.encode());
        assert!(matches!(result, Err(MessageError::Cbor(_))), "{request:?}: {result:?}");
    }
    assert_eq!(Response::from_bytes(&Cbor::text("busy").encode()), Ok(Response::Busy));
    for value in [Cbor::Null, Cbor::text("busy"), Cbor::map([])] {
        assert!(Response::from_bytes(&Cbor::map([("busy", value)]).encode()).is_err());
    }
}

#[test]
fn a_message_has_limits() {
    let blobs =
        |count| Cbor::map([("availability", Cbor::map([("blobs", Cbor::List(vec![Cbor::bytes([0; 32]); count]))]))]);
    Request::from_bytes(&blobs(limits::BLOBS).encode()).unwrap();
    let result = Request::from_bytes(&blobs(limits::BLOBS + 1).encode());
    assert_eq!(result, Err(MessageError::TooMany { what: "blobs", count: 1025, limit: 1024 }));

    assert!(matches!(availability(vec![Cbor::text("missing"); 1025]), Err(MessageError::TooMany { .. })));
    let ranges: Vec<(u64, u64)> = (0..257).map(|n| (2 * n, 2 * n + 1)).collect();
    assert!(matches!(availability(vec![partial(1 << 20, &ranges)]), Err(MessageError::TooMany { .. })));
    let list = |kind: &str, key: &str, count| {
        Cbor::map([(kind, Cbor::map([(key, Cbor::List(vec![Cbor::bytes([0; 32]); count]))]))])
    };
    for (kind, key, limit) in [("head", "heads", 1024), ("heads", "pointers", 1024), ("revision", "manifests", 64)] {
        Response::from_bytes(&list(kind, key, limit).encode()).unwrap();
        let result = Response::from_bytes(&list(kind, key, limit + 1).encode());
        assert!(matches!(result, Err(MessageError::TooMany { .. })), "{kind}: {result:?}");
    }

    let too_large = |size, limit| Err(MessageError::Cbor(CborError::TooLarge { size, limit }));
    assert_eq!(Request::from_bytes(&[0; limits::REQUEST + 1]), too_large(limits::REQUEST + 1, limits::REQUEST));
    let size = limits::RESPONSE + 1;
    assert_eq!(
        Response::from_bytes(&vec![0; size]).map(|_| Request::Heads { after: None }),
        too_large(size, limits::RESPONSE)
    );
}
