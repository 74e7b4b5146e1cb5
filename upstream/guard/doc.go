// Package guard stands between a session service and everybody who asks it. A [Guard] promises that
//
//   - no question is given longer than a deadline, time spent waiting for its turn and a second attempt included;
//   - no more than a fixed number of questions are asked at once, and no more than another number wait for their turn;
//   - a question whose turn comes so late that an answer is not to be expected in time is not asked any more: when less time is left than twice
//     that of the slowest answer of late, or than half of the deadline if that is less;
//   - a quarter of them, one at least unless there is no more than one, and a line of their own, is for credentials that stood for a
//     session a moment ago ([Guard.Known]), whatever strangers present;
//   - no client causes more than its share of questions that end in a no, or are taken for bad ones;
//   - a service that has failed many times in a row is left alone for a moment, and then tried with a few questions;
//   - a question is asked of the Store a second time only if no byte of it reached the service, and never a third time;
//   - what the guard itself refuses is an outage, and so never a logout.
//
// The deadline is kept by the context that the question is asked with. A Store must return when its context is done, which the suite of
// upstreamtest checks; the guard does not abandon one that does not, since it may still be reading a credential that is only borrowed.
//
// Only outages count against the service. A definite no is an answer like any other, and a question that its caller gave up, or that was taken
// for a bad one while others are answered, says nothing about the service at all.
package guard
