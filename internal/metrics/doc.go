// Package metrics is what Gatehouse counts and measures: every instrument is in [Metrics], on a registry of its own.
//
// It promises that
//
//   - every series exists from the start, so that rates begin at zero and an alert can tell "never" from "not running";
//   - label values come from closed sets or from the configuration. No path, host, user, session or credential is a label, so that no
//     client can make series, or find itself in them;
//   - what is called on the way of a request neither blocks, nor looks up labels, nor allocates. The exceptions are requests that were
//     under way while their route was reloaded, and the first time that falls into a native bucket;
//   - names, labels and their values are an interface: they change only with a major version.
//
// Names begin with gatehouse_, times are seconds and counters end in _total. Histograms are exposed both with classic buckets and as
// native histograms, of which a Prometheus takes what it is set to take: https://prometheus.io/docs/specs/native_histograms/
//
// # Labels
//
// The label rule is the name of the route. It is empty where no route matched, and for the whoami face, which has none: no route can
// be called that. Routes of an earlier configuration keep their series until the process ends.
//
// The label outcome of gatehouse_decision_duration_seconds says what the decision had to do. It is where the session came from (hit,
// window_hit, stale, miss, coalesced) if the request has one, and else the verdict: allowed (nobody had to be asked, or nobody was
// there), denied, unauthenticated, refused, unavailable, malformed.
//
// The label listener is the address of a listener as the configuration has it.
//
// The label cause of gatehouse_tunnels_ended_total is what ended a WebSocket: client, app, revoked, expired, policy, outage, idle or
// shutdown.
//
// The label code of gatehouse_app_requests_total is the class of the application's status, 1xx to 5xx, or none when it gave no answer.
package metrics
