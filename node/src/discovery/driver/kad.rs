//! What the DHT's commands and events mean.

use std::time::Instant;

use huddle_protocol::{DhtKey, NodeId, Record};
use libp2p::kad::{
    self, AddProviderError, GetProvidersOk, GetRecordError, GetRecordOk, InboundRequest, ProgressStep, PutRecordError,
    QueryId, QueryResult, Quorum, RecordKey,
};
use tracing::{debug, trace};

use super::{
    super::{
        Heard,
        handle::NetworkError,
        id::node_id,
        now,
        shelf::{LIFETIME, Offer, seconds_at},
        waiting::{Asked, Listener},
    },
    Driver,
};

pub(super) fn record_key(key: DhtKey) -> RecordKey {
    RecordKey::new(key.as_bytes())
}

impl Driver {
    pub(super) fn put(&mut self, record: &Record, asked: Asked<usize>) {
        let (key, now) = (record.key(), now());
        let kad = &mut self.swarm.behaviour_mut().kad;
        match kad.store_mut().offer(key.as_bytes(), record.bytes(), now + LIFETIME, now) {
            Offer::New(_) | Offer::Known => {}
            Offer::Outdated => return asked.answer(Err(NetworkError::Outdated)),
            Offer::Fork { ours, theirs } => return asked.answer(Err(NetworkError::fork(ours, theirs))),
            Offer::Refused(error) => return asked.answer(Err(error.into())),
        }
        // All: a query with a smaller quorum stops asking as soon as it has it.
        match kad.put_record(kad::Record::new(record_key(key), record.bytes().to_vec()), Quorum::All) {
            Ok(id) => drop(self.waiting.puts.insert(id, asked)),
            Err(error) => {
                debug!(%error, "cannot put");
                asked.answer(Err(NetworkError::Outdated));
            }
        }
    }

    pub(super) fn get(&mut self, key: DhtKey, asked: Asked<Option<Record>>) {
        let id = self.swarm.behaviour_mut().kad.get_record(record_key(key));
        self.waiting.gets.start(id, key, asked);
    }

    pub(super) fn provide(&mut self, key: DhtKey, asked: Asked<()>) {
        match self.swarm.behaviour_mut().kad.start_providing(record_key(key)) {
            Ok(id) => drop(self.waiting.provides.insert(id, asked)),
            Err(error) => {
                debug!(%error, "cannot provide");
                asked.answer(Err(NetworkError::Congested));
            }
        }
    }

    pub(super) fn providers(&mut self, key: DhtKey, listener: Listener) {
        let id = self.swarm.behaviour_mut().kad.get_providers(record_key(key));
        self.waiting.lookups.start(id, listener);
    }

    pub(super) fn on_kad(&mut self, event: kad::Event) {
        match event {
            kad::Event::OutboundQueryProgressed { id, result, step, .. } => self.on_progress(id, result, &step),
            kad::Event::InboundRequest { request } => self.on_request(request),
            kad::Event::RoutingUpdated { is_new_peer: true, .. } if !self.join.is_joined() => {
                let _ = self.swarm.behaviour_mut().kad.bootstrap(); // fails only without any peer
            }
            event => trace!(?event, "ignored"),
        }
    }

    /// Peers answer one by one, often with nothing; what counts is known at the last step.
    fn on_progress(&mut self, id: QueryId, result: QueryResult, step: &ProgressStep) {
        match result {
            QueryResult::GetRecord(result) => {
                let timed_out = matches!(result, Err(GetRecordError::Timeout { .. }));
                if let Ok(GetRecordOk::FoundRecord(found)) = result {
                    self.waiting.gets.found(&id, &found.record.value, now());
                }
                if step.last {
                    self.waiting.gets.finish(&id, timed_out);
                }
            }
            QueryResult::GetProviders(result) => {
                if let Ok(GetProvidersOk::FoundProviders { providers, .. }) = result {
                    let local = *self.swarm.local_peer_id();
                    let others = providers.iter().filter(|peer| **peer != local).filter_map(node_id);
                    if !self.waiting.lookups.found(&id, others.collect::<Vec<NodeId>>())
                        && let Some(mut query) = self.swarm.behaviour_mut().kad.query_mut(&id)
                    {
                        query.finish();
                    }
                }
                if step.last {
                    self.waiting.lookups.finish(&id);
                }
            }
            QueryResult::PutRecord(result) => {
                if let Some(asked) = self.waiting.puts.remove(&id) {
                    asked.answer(match result {
                        Ok(_) => Ok(kad::K_VALUE.get()),
                        Err(PutRecordError::Timeout { success, .. }) if success.is_empty() => {
                            Err(NetworkError::TimedOut)
                        }
                        Err(PutRecordError::QuorumFailed { success, .. } | PutRecordError::Timeout { success, .. }) => {
                            Ok(success.len())
                        }
                    });
                }
            }
            QueryResult::StartProviding(result) => {
                if let Some(asked) = self.waiting.provides.remove(&id) {
                    asked.answer(result.map(drop).map_err(|AddProviderError::Timeout { .. }| NetworkError::TimedOut));
                }
            }
            // The first step is the lookup of ourselves; the others fill the farther buckets and may take long.
            QueryResult::Bootstrap(_) => self.join.joined(),
            result => trace!(?result, "ignored"),
        }
    }

    fn on_request(&mut self, request: InboundRequest) {
        match request {
            InboundRequest::PutRecord { source, record: Some(record), .. } => {
                if !self.peers.may_store(source, Instant::now()) {
                    return debug!(peer = %source, "puts too much");
                }
                let now = now();
                let expires = record.expires.map_or(now + LIFETIME, |expires| seconds_at(expires, now));
                let shelf = self.swarm.behaviour_mut().kad.store_mut();
                match shelf.offer(record.key.as_ref(), &record.value, expires, now) {
                    Offer::New(Record::Head(pointer)) => self.tell(Heard::Head(pointer)),
                    Offer::Fork { ours, theirs } => self.tell_fork(ours, theirs),
                    Offer::Refused(error) => debug!(peer = %source, %error, "refused a record"),
                    Offer::New(_) | Offer::Known | Offer::Outdated => {}
                }
            }
            InboundRequest::AddProvider { record: Some(record) } => {
                // Kademlia has checked that the provider is who sent this.
                if self.peers.may_store(record.provider, Instant::now()) {
                    let scope = &self.place.scope;
                    self.swarm.behaviour_mut().kad.store_mut().offer_provider(&record, scope, now());
                }
            }
            request => trace!(?request, "answered"),
        }
    }
}
