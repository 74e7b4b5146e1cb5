// Command bench measures what one decision costs: the CPU time of the gateway's own process per request, beside a bare fasthttp handler
// that answers with the same headers and decides nothing.
//
// The two servers run as processes of their own, pinned to one processor, and are loaded in turn from another, over kept connections, so
// that a machine whose speed drifts slows both. What is printed are medians of the rounds, and of the ratios within a round. Ratios hold
// from machine to machine; times do not.
//
// Run it with make bench. Everything stays on the loopback interface, and each round ends by itself.
package main
