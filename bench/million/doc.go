// Command million measures what many sessions cost. Run it in its own directory, alone on the machine:
//
//	go run . memory               # a million sessions of Kratos, 1.3 kB each, with what whoami says
//	go run . -keep-body=false memory
//	go run . cold                 # 50,000 sessions that are all unknown, at a service that takes 5 ms
//
// It builds the command of this tree, and runs it before a session service of its own, which has a session for every token. What counts is
// read from the system and from the gateway's own metrics.
package main
