package main

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"time"
)

func main() {
	if len(os.Args) > 1 && os.Args[1] == bareMode {
		exit(serveBare())
	}
	rounds := flag.Int("rounds", 7, "rounds, of which the median counts")
	length := flag.Duration("length", 2*time.Second, "length of the load on one server in one round")
	connections := flag.Int("connections", 32, "connections that are kept open")
	flag.Parse()
	exit(run(*rounds, *length, *connections))
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// A contest is one kind of request, sent to both servers.
type contest struct {
	name       string
	credential func(session) string // the header line that carries it
}

var contests = []contest{
	{"39-byte token", func(s session) string { return "X-Session-Token: " + s.Token }},
	{"428-byte cookie", func(s session) string { return "Cookie: " + s.Cookie.Name + "=" + s.Cookie.Value }},
}

func run(rounds int, length time.Duration, connections int) error {
	if err := pin(os.Getpid(), loadCPU); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "gatehouse-bench-")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	defer os.RemoveAll(dir)
	gate, err := startGatehouse(dir)
	if err != nil {
		return err
	}
	defer gate.stop()
	s, err := gate.createSession()
	if err != nil {
		return err
	}
	bare, err := startBare()
	if err != nil {
		return err
	}
	defer bare.stop()

	fmt.Printf("forward-auth, cached session, 5 identity headers: CPU time of the server process, %d rounds of %v, %d connections\n\n",
		rounds, length, connections)
	fmt.Printf("%-16s %16s %16s %22s %22s\n", "credential", "bare µs/request", "gate µs/request", "bare requests/CPU s", "gate requests/CPU s")
	for _, c := range contests {
		request := forwardAuthRequest(c.credential(s))
		var bareCost, gateCost, ratio []float64
		for range rounds {
			b, err := bare.cost(request, length, connections)
			if err != nil {
				return fmt.Errorf("load bare server: %w", err)
			}
			g, err := gate.cost(request, length, connections)
			if err != nil {
				return fmt.Errorf("load gatehouse: %w", err)
			}
			bareCost, gateCost, ratio = append(bareCost, b), append(gateCost, g), append(ratio, b/g)
		}
		fmt.Printf("%-16s %16.2f %16.2f %22.0f %22.0f\n", c.name, median(bareCost), median(gateCost), 1e6/median(bareCost), 1e6/median(gateCost))
		fmt.Printf("%-16s requests per CPU second are %.0f %% of bare fasthttp's (median; rounds from %.0f %% to %.0f %%)\n\n",
			"", 100*median(ratio), 100*slices.Min(ratio), 100*slices.Max(ratio))
	}
	return nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
