//! What gossip means: signed head pointers, looked at before they are passed on.

use std::time::Instant;

use huddle_protocol::{DhtKey, HeadPointer, Record, RecordError, Signed};
use libp2p::{
    PeerId,
    gossipsub::{self, IdentTopic, MessageAcceptance, PublishError},
};
use tracing::{debug, trace};

use super::{
    super::{Heard, behaviour::HEADS, gate::Verdict, handle::NetworkError, now},
    Driver,
};

impl Driver {
    pub(super) fn announce(&mut self, pointer: Signed<HeadPointer>) -> Result<(), NetworkError> {
        let bytes = pointer.bytes().to_vec();
        // What we say ourselves is known to us when it comes back.
        self.gate.note(Record::Head(pointer));
        match self.swarm.behaviour_mut().gossip.publish(IdentTopic::new(HEADS), bytes) {
            Ok(_) | Err(PublishError::Duplicate | PublishError::NoPeersSubscribedToTopic) => Ok(()),
            Err(error) => {
                debug!(%error, "cannot announce");
                Err(NetworkError::Congested)
            }
        }
    }

    pub(super) fn on_gossip(&mut self, event: gossipsub::Event) {
        let gossipsub::Event::Message { propagation_source, message_id, message } = event else {
            return trace!(?event, "ignored");
        };
        let acceptance = if self.gate.admits(propagation_source, Instant::now()) {
            self.on_message(&message.data, propagation_source)
        } else {
            MessageAcceptance::Ignore
        };
        trace!(peer = %propagation_source, ?acceptance, "gossip");
        self.swarm.behaviour_mut().gossip.report_message_validation_result(
            &message_id,
            &propagation_source,
            acceptance,
        );
    }

    fn on_message(&mut self, bytes: &[u8], neighbour: PeerId) -> MessageAcceptance {
        let record = match Record::verify(bytes, now()) {
            Ok(record) => record,
            Err(RecordError::Future) => return MessageAcceptance::Ignore, // perhaps our clock is wrong
            Err(_) => return MessageAcceptance::Reject,
        };
        let Record::Head(pointer) = &record else { return MessageAcceptance::Reject };
        if self.swarm.behaviour_mut().kad.store_mut().is_denied(&record) {
            return MessageAcceptance::Ignore; // not passed on, and no fault of the neighbour's
        }
        match self.gate.judge(&record, pointer.signer(), Instant::now()) {
            Verdict::Pass => {
                self.heralds.spoke(DhtKey::repo(&pointer.value().repo), neighbour);
                self.tell(Heard::Head(pointer.clone()));
                MessageAcceptance::Accept
            }
            Verdict::Drop => MessageAcceptance::Ignore,
            Verdict::Fork(known) => {
                self.tell_fork(*known, record);
                MessageAcceptance::Ignore
            }
        }
    }
}
