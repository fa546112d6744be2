//! Shuffle sharding: which few of a priority level's many queues a flow may use. Models `util/shufflesharding`.
//!
//! A flow that floods fills the queues of its hand; another flow, with another hand, finds one that is free with great
//! probability, though nobody knows in advance who will flood.

/// The hand of `hand` different queues out of `deck`, in the order dealt, that belongs to a flow's hash.
///
/// The hash is read as digits of mixed radix (`deck`, `deck - 1`, …): each digit picks one of the cards that are still there.
pub fn deal(hash: u64, deck: u32, hand: u32) -> Vec<u32> {
    let mut left = hash;
    let mut dealt: Vec<u32> = Vec::with_capacity(hand as usize);
    let mut sorted: Vec<u32> = Vec::with_capacity(hand as usize);
    for i in 0..hand.min(deck) {
        let there = u64::from(deck - i);
        let mut card = (left % there) as u32;
        left /= there;
        // The digit counts only cards that are not dealt: step over those below.
        let mut at = 0;
        while at < sorted.len() && sorted[at] <= card {
            card += 1;
            at += 1;
        }
        sorted.insert(at, card);
        dealt.push(card);
    }
    dealt
}

#[cfg(test)]
mod tests {
    use super::deal;
    use expect_test::expect;

    #[test]
    fn a_hand_has_different_cards_of_the_deck() {
        for hash in (0..2_000u64).map(base::mix64) {
            let hand = deal(hash, 64, 6);
            let mut sorted = hand.clone();
            sorted.sort();
            sorted.dedup();
            assert_eq!(sorted.len(), 6, "{hash}: {hand:?}");
            assert!(hand.iter().all(|card| *card < 64), "{hash}: {hand:?}");
        }
    }

    #[test]
    fn digits_pick_among_the_cards_that_are_left() {
        let shown: Vec<String> = [(0, 4, 3), (1, 4, 3), (4, 4, 3), (23, 4, 4), (7, 1, 1), (9, 2, 5)]
            .map(|(h, d, n)| format!("{h} of {d}: {:?}", deal(h, d, n)))
            .into();
        expect![[r#"
            0 of 4: [0, 1, 2]
            1 of 4: [1, 0, 2]
            4 of 4: [0, 2, 1]
            23 of 4: [3, 2, 1, 0]
            7 of 1: [0]
            9 of 2: [1, 0]"#]]
        .assert_eq(&shown.join("\n"));
    }

    /// The promise: of two flows, one rarely has no queue of its own; and every queue is in about as many hands.
    #[test]
    fn a_flood_seldom_takes_all_queues_of_another_flow() {
        let flood = deal(base::mix64(7), 128, 6);
        let mut uses = [0u32; 128];
        let (mut drowned, n) = (0, 20_000u64);
        for hash in (0..n).map(|i| base::mix64(i + 1_000)) {
            let hand = deal(hash, 128, 6);
            drowned += u64::from(hand.iter().all(|card| flood.contains(card)));
            hand.iter().for_each(|card| uses[*card as usize] += 1);
        }
        assert_eq!(drowned, 0);
        let fair = n as u32 * 6 / 128;
        assert!(uses.iter().all(|u| u.abs_diff(fair) < fair / 5), "{uses:?}");
    }
}
