//! Domains, asked of a real name server and a real web server on loopback.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use hickory_resolver::proto::{
    op::{Message, MessageType, OpCode, ResponseCode},
    rr::{RData, Record, rdata::TXT},
};
use huddle_protocol::{PublisherId, RepoKind, SecretKey};
use tokio::net::{TcpListener, UdpSocket};

use super::*;
use crate::{
    config,
    names::{NameError, Names, Step, book},
    testing::{Host, host, web::WebServer},
};

/// A name server and a web server that say what they are told to.
struct World {
    records: Arc<Mutex<HashMap<String, Vec<String>>>>,
    web: WebServer,
    /// Whether the name server says that it is out of order.
    is_broken: Arc<Mutex<bool>>,
    questions: Arc<AtomicUsize>,
    settings: config::Names,
}

impl World {
    async fn start() -> Self {
        let records = Arc::<Mutex<HashMap<_, Vec<String>>>>::default();
        let (is_broken, questions) = (Arc::<Mutex<bool>>::default(), Arc::<AtomicUsize>::default());
        let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let web = WebServer::start().await;
        let settings = config::Names {
            domains: true,
            dns: vec![udp.local_addr().unwrap()],
            well_known: format!("{}/{{domain}}", web.address),
        };
        tokio::spawn(serve_dns(udp, records.clone(), is_broken.clone(), questions.clone()));
        Self { records, web, is_broken, questions, settings }
    }

    /// Lets the name server say this of a domain, and of others as before.
    fn dns(&self, domain: &str, texts: &[String]) {
        self.records.lock().unwrap().insert(format!("_huddle.{domain}."), texts.to_vec());
    }

    fn page(&self, domain: &str, status: &str, headers: &str, body: &str) {
        self.web.say(&format!("/{domain}"), status, headers, body);
    }

    /// Returns what a node of `host`'s home would read names with.
    fn names(&self, host: &Host) -> Names {
        Names::new(host.home(), &self.settings, host.endpoint().tls_config())
    }

    fn asked(&self) -> usize {
        self.questions.swap(0, Ordering::SeqCst)
    }
}

async fn serve_dns(
    socket: UdpSocket,
    records: Arc<Mutex<HashMap<String, Vec<String>>>>,
    is_broken: Arc<Mutex<bool>>,
    questions: Arc<AtomicUsize>,
) {
    let mut bytes = [0; 4096];
    loop {
        let (length, from): (usize, SocketAddr) = socket.recv_from(&mut bytes).await.unwrap();
        let Ok(question) = Message::from_vec(&bytes[..length]) else { continue };
        questions.fetch_add(1, Ordering::SeqCst);
        let query = question.queries[0].clone();
        let name = query.name().to_ascii().to_ascii_lowercase();
        let mut answer = Message::response(question.metadata.id, OpCode::Query);
        answer.metadata.message_type = MessageType::Response;
        answer.add_query(query.clone());
        match records.lock().unwrap().get(&name) {
            _ if *is_broken.lock().unwrap() => answer.metadata.response_code = ResponseCode::ServFail,
            Some(texts) => {
                for text in texts {
                    let data = RData::TXT(TXT::new(vec![text.clone()]));
                    answer.add_answer(Record::from_rdata(query.name().clone(), 600, data));
                }
            }
            None => answer.metadata.response_code = ResponseCode::NXDomain,
        }
        socket.send_to(&answer.to_vec().unwrap(), from).await.unwrap();
    }
}

fn publisher(seed: u8) -> PublisherId {
    SecretKey::from_bytes([seed; 32]).public().into()
}

fn record(seed: u8) -> String {
    format!("huddle={}", publisher(seed))
}

/// Returns whose repository a name is, and what read it.
async fn read(names: &Names, id: &str) -> (Option<PublisherId>, Step) {
    let named = names.repo(RepoKind::Model, id).await.unwrap();
    (named.repo.publisher(), named.step)
}

#[tokio::test]
async fn a_domain_names_its_publisher_by_dns_and_is_asked_once() {
    let (world, host) = (World::start().await, host(&[]).await);
    world.dns("stanford.edu", &["v=spf1 -all".to_owned(), record(1)]);
    let names = world.names(&host);
    assert_eq!(names.known(RepoKind::Model, "stanford.edu/alpaca").unwrap().step, Step::Upstream, "nobody was asked");
    assert_eq!(world.asked(), 0);
    for id in ["stanford.edu/alpaca", "Stanford.EDU/alpaca"] {
        let (found, step) = read(&names, id).await;
        assert_eq!(found, Some(publisher(1)));
        let Step::Domain(pin) = step else { panic!("{step:?}") };
        assert_eq!((pin.domain.as_str(), pin.way, pin.until - pin.checked), ("stanford.edu", Way::Dns, 600));
    }
    assert_eq!(world.asked(), 1);
    // Another process, and the same one without asking, read it from the file.
    assert_eq!(read(&world.names(&host), "stanford.edu/x").await.0, Some(publisher(1)));
    assert_eq!(names.known(RepoKind::Model, "stanford.edu/x").unwrap().repo.publisher(), Some(publisher(1)));
    assert_eq!(world.asked(), 0);
}

#[tokio::test]
async fn a_domain_names_its_publisher_by_a_file_on_its_web_server() {
    let (world, host) = (World::start().await, host(&[]).await);
    world.page("uni.org", "200 OK", "cache-control: max-age=86400000\r\n", &format!("{}\n", publisher(1)));
    let (found, step) = read(&world.names(&host), "uni.org/x").await;
    assert_eq!(found, Some(publisher(1)));
    let Step::Domain(pin) = step else { panic!("{step:?}") };
    assert_eq!((pin.way, pin.until - pin.checked), (Way::Https, 86400), "no answer lasts longer than a day");
    world.page("moved.org", "301 Moved Permanently", "location: /uni.org\r\n", "");
    assert_eq!(read(&world.names(&host), "moved.org/x").await.0, Some(publisher(1)), "it stays where it was sent");
}

#[tokio::test]
async fn a_domain_that_names_nobody_is_a_name_of_the_hub() {
    let (world, host) = (World::start().await, host(&[]).await);
    world.dns("mail.org", &["v=spf1".to_owned()]);
    world.page("page.org", "200 OK", "", "<!doctype html>");
    world.page("huge.org", "200 OK", "", &format!("{}\n", publisher(1)).repeat(1000));
    // Another service of the same host is another host, and its word is not the domain's.
    let other = World::start().await;
    other.page("away.org", "200 OK", "", &publisher(66).to_string());
    let there = other.settings.well_known.replace("{domain}", "away.org");
    world.page("away.org", "302 Found", &format!("location: {there}\r\n"), "");
    let names = world.names(&host);
    for domain in ["none.org", "mail.org", "page.org", "huge.org", "away.org"] {
        for _ in 0..2 {
            assert_eq!(read(&names, &format!("{domain}/x")).await, (None, Step::Upstream), "{domain}");
        }
        assert_eq!(world.asked(), 1, "{domain} is asked once");
    }
}

#[tokio::test]
async fn nobody_is_asked_for_what_is_no_domain_or_is_in_the_name_book() {
    let (world, host) = (World::start().await, host(&[]).await);
    let names = world.names(&host);
    book::add(host.home(), "stanford.edu", publisher(9), None, false).unwrap();
    world.dns("stanford.edu", &[record(1)]);
    assert_eq!(read(&names, "stanford.edu/x").await.0, Some(publisher(9)), "one's own name wins");
    for org in ["org", "gpt-2.5", "node.local", "x.test", "x.example", "v1.b", "a_b.org", "-a.org", "10.0.0.1", "a.b2"]
    {
        let named = names.repo(RepoKind::Model, &format!("{org}/x")).await;
        assert!(named.is_err() || named.unwrap().step == Step::Upstream, "{org}");
    }
    for no_name in ["xn--stnford-3fg.edu/x", "st\u{430}nford.edu/x", "stanford..edu/x"] {
        assert!(matches!(names.repo(RepoKind::Model, no_name).await, Err(NameError::Parse(_))), "{no_name}");
    }
    let off = Names::new(host.home(), &config::Names { domains: false, ..world.settings.clone() }, &());
    assert_eq!(read(&off, "uni.org/x").await.1, Step::Upstream);
    assert_eq!(world.asked(), 0);
}

#[tokio::test]
async fn a_domain_that_names_another_key_is_an_alarm_and_is_not_followed() {
    let (world, host) = (World::start().await, host(&[]).await);
    let (names, domain) = (world.names(&host), "stanford.edu".parse().unwrap());
    world.dns("stanford.edu", &[record(1)]);
    assert_eq!(read(&names, "stanford.edu/x").await.0, Some(publisher(1)));
    world.dns("stanford.edu", &[record(66)]);
    for _ in 0..2 {
        let pin = names.check(&domain).await.unwrap().unwrap();
        assert_eq!((pin.publisher, pin.changed.as_deref()), (publisher(1), Some(&[publisher(66)][..])));
        let (found, step) = read(&names, "stanford.edu/x").await;
        assert_eq!(found, Some(publisher(1)), "the old key stays in use");
        let told = step.sentence();
        assert!(told.starts_with("ALARM: stanford.edu now names ") && told.contains("trust-change"), "{told}");
    }
    // It may be right after all, and only the user can say so.
    let pin = trust_change(host.home(), "Stanford.edu").unwrap();
    assert_eq!((pin.publisher, pin.changed), (publisher(66), None));
    assert_eq!(read(&names, "stanford.edu/x").await.0, Some(publisher(66)));
    assert!(matches!(trust_change(host.home(), "stanford.edu"), Err(PinError::NoChange { .. })));
    assert!(matches!(trust_change(host.home(), "other.edu"), Err(PinError::Unknown { .. })));
}

#[tokio::test]
async fn a_domain_that_takes_its_change_back_is_no_alarm_any_more() {
    let (world, host) = (World::start().await, host(&[]).await);
    let (names, domain) = (world.names(&host), "stanford.edu".parse().unwrap());
    world.dns("stanford.edu", &[record(1)]);
    names.check(&domain).await.unwrap();
    world.records.lock().unwrap().clear();
    let gone = names.check(&domain).await.unwrap().unwrap();
    assert_eq!((gone.publisher, gone.changed), (publisher(1), Some(vec![])), "naming nobody is a change, too");
    // A key that is added beside the old one, to change over, is none.
    world.dns("stanford.edu", &[record(2), record(1)]);
    let back = names.check(&domain).await.unwrap().unwrap();
    assert_eq!((back.publisher, back.changed), (publisher(1), None));
    forget(host.home(), "stanford.edu").unwrap();
    let several = names.repo(RepoKind::Model, "stanford.edu/x").await;
    assert!(matches!(several, Err(NameError::Domain(DomainError::Several { count: 2, .. }))), "{several:?}");
}

#[tokio::test]
async fn a_name_server_that_fails_changes_no_meaning() {
    let (world, host) = (World::start().await, host(&[]).await);
    let names = world.names(&host);
    world.dns("stanford.edu", &[record(1)]);
    names.check(&"stanford.edu".parse().unwrap()).await.unwrap();
    *world.is_broken.lock().unwrap() = true;
    let pin = names.check(&"stanford.edu".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((pin.publisher, pin.changed), (publisher(1), None), "what was true a while ago still is");
    // What was never known does not become a name of the hub because somebody keeps us from asking.
    let unknown = names.repo(RepoKind::Model, "uni.org/x").await.unwrap_err();
    assert!(unknown.to_string().starts_with("cannot find out whose uni.org is"), "{unknown}");
    *world.is_broken.lock().unwrap() = false;
    world.dns("bad.org", &["huddle=nonsense".to_owned()]);
    assert!(matches!(names.repo(RepoKind::Model, "bad.org/x").await, Err(NameError::Domain(_))));
}

#[tokio::test]
async fn a_web_server_that_is_away_is_no_change_of_what_it_said() {
    let (world, host) = (World::start().await, host(&[]).await);
    world.page("uni.org", "200 OK", "", &publisher(1).to_string());
    world.names(&host).check(&"uni.org".parse().unwrap()).await.unwrap();
    let nowhere = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let away = config::Names { well_known: format!("http://{nowhere}/{{domain}}"), ..world.settings.clone() };
    let names = Names::new(host.home(), &away, host.endpoint().tls_config());
    let pin = names.check(&"uni.org".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((pin.publisher, pin.changed), (publisher(1), None));
    world.page("uni.org", "503 Busy", "", "");
    let pin = world.names(&host).check(&"uni.org".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((pin.publisher, pin.changed), (publisher(1), None));
    world.page("uni.org", "200 OK", "", &publisher(2).to_string());
    let pin = world.names(&host).check(&"uni.org".parse().unwrap()).await.unwrap().unwrap();
    assert_eq!((pin.publisher, pin.changed), (publisher(1), Some(vec![publisher(2)])));
}
