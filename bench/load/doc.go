// Package load asks a server the same question again and again over connections of the loopback interface, and counts and times the answers.
//
// In a closed loop, each connection sends its next request when the answer to the last one is there. That keeps the server busy, and is how
// its CPU time per request is measured. It says nothing about latency: a server that stalls is not asked meanwhile, and the requests that
// would have waited are missing from the figures (coordinated omission).
//
// In an open loop, requests arrive by a schedule that is fixed beforehand and does not care how the server does. The latency of a request
// is counted from when it was due, whether or not a connection was free then, so that a stall counts for every request that it holds up.
// Arrivals are random and independent of each other, as those of many clients are: exponentially distributed gaps, the same for all who are
// compared.
//
// One thread does all of it with epoll and without a scheduler in between, so that the load costs less than what is measured. Package load
// is for Linux.
package load
