// Command bench measures Gatehouse beside others that do the same work or less, and writes docs/reference/performance.md. make bench runs it.
//
// The servers are processes of their own on one processor, and are loaded in turn from another, where the application is too. What counts is
// the CPU time that the kernel charges to a server, and how long answers take that were due at fixed times (package load). Everything stays
// on 127.0.0.1 and ends by itself. The command is a module of its own, so that opponents never become dependencies of the gateway.
//
// # To add a contest
//
// A contest is a file contest_NAME.go with a function that returns a [contest], and a line in contests. One that compares CPU time
// lists who takes part, with what each is asked, and calls [compareCost]; the others show how a contest measures something else. What
// it returns is shown by package report, which knows nothing of any contest.
//
// # To add an opponent
//
// An opponent is a [kind]: a name, and a function that starts it. Its program is looked for on PATH by [program], and nothing installs it: who
// is missing is left out, and the page says so. caddy.go shows one; oauth2proxy.go one whose session begins with a login; own.go those that
// are a part of this program. Give it the best configuration that does the same work, and say in a comment why it is that.
package main
