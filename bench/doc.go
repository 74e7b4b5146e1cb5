// Command bench measures what a request costs: the CPU time of the gateway's own process, beside others that do the same work or less.
//
// A decision is compared with a bare fasthttp handler that answers with the same headers and decides nothing, and with nginx that
// remembers the answer to auth_request in a proxy_cache. A proxied request is compared with nginx that does the same and passes it on,
// with nginx and fasthttp that pass on and ask nobody, and with Gatehouse on a public route.
//
// The servers run as processes of their own on one processor, and are loaded in turn over kept connections from another, where the
// application is too, so that a machine whose speed drifts slows all of them. What is printed are medians of the rounds, and of the
// ratios within a round. Ratios hold from machine to machine; times do not.
//
// Run it with make bench. nginx is left out, with a word about it, where it is not installed. Everything stays on the loopback
// interface, and each round ends by itself. It is a module of its own, so that the opponents never become a dependency of the gateway.
package main
