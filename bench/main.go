package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

func main() {
	exit(play(os.Args[1:]))
}

// play runs one of the parts, or the measurement.
func play(args []string) error {
	switch {
	case len(args) == 2 && args[0] == barePart:
		return serveBare(args[1])
	case len(args) == 3 && args[0] == forwardPart:
		return serveForward(args[1], args[2])
	case len(args) == 2 && args[0] == appPart:
		return serveApp(args[1])
	}
	rounds := flag.Int("rounds", 15, "rounds, of which the median counts")
	length := flag.Duration("length", 700*time.Millisecond, "length of the load on one server in one round")
	connections := flag.Int("connections", 32, "connections that are kept open")
	only := flag.String("only", "", "run the contests whose name has this in it")
	flag.Parse()
	return run(*rounds, *length, *connections, *only)
}

func exit(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func run(rounds int, length time.Duration, connections int, only string) error {
	cpus, err := someProcessors()
	if err != nil {
		return err
	}
	if err := pin(os.Getpid(), cpus.load); err != nil { // before there are children, who would be bound too
		return err
	}
	dir, err := os.MkdirTemp("", "gatehouse-bench-")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	defer os.RemoveAll(dir)
	f, err := assemble(dir, cpus)
	if err != nil {
		return err
	}
	defer f.stop()
	fmt.Printf("CPU time of the server process per request: %d rounds of %v, %d connections; %s, %s\n",
		rounds, length, connections, runtime.Version(), nginxVersion())
	if cpus.server == cpus.load {
		fmt.Println("There is one processor only: servers, load and application share it.")
	}
	for _, c := range f.contests() {
		if !strings.Contains(c.name, only) {
			continue
		}
		if err := c.run(rounds, length, connections); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
	}
	return nil
}

// A field is everybody who takes part.
type field struct {
	all                               []*server
	app, gatehouse, bare, fast, nginx *server // nginx is nil if it is not installed
	session                           *session
}

func (f *field) stop() {
	for _, s := range f.all {
		s.stop()
	}
}

// assemble starts everybody.
func assemble(dir string, cpus processors) (f *field, err error) {
	f = new(field)
	defer func() {
		if err != nil {
			f.stop()
		}
	}()
	enter := func(place **server, s *server, err error) error {
		if err == nil {
			*place, f.all = s, append(f.all, s)
		}
		return err
	}
	s, err := startSelf(appPart, cpus.load)
	if err := enter(&f.app, s, err); err != nil {
		return f, err
	}
	s, f.session, err = startGatehouse(dir, f.app.address, cpus.server)
	if err := enter(&f.gatehouse, s, err); err != nil {
		return f, err
	}
	s, err = startSelf(barePart, cpus.server)
	if err := enter(&f.bare, s, err); err != nil {
		return f, err
	}
	s, err = startSelf(forwardPart, cpus.server, f.app.address)
	if err := enter(&f.fast, s, err); err != nil {
		return f, err
	}
	s, err = startNginx(dir, f.app.address, cpus.server)
	if err := enter(&f.nginx, s, err); err != nil && !errors.Is(err, errNoNginx) {
		return f, err
	}
	return f, nil
}

// A contest is one kind of work, which several servers do.
type contest struct {
	name        string
	contestants []contestant
}

// A contestant is a server and the request that makes it do the work. The first of a contest is Gatehouse.
type contestant struct {
	name    string
	server  *server // nil if it is not there
	request []byte
}

func (f *field) contests() []contest {
	decision := func(credential string) []contestant {
		return []contestant{
			{"gatehouse", f.gatehouse, forwardAuthRequest("/.gatehouse/auth", credential)},
			{"bare fasthttp", f.bare, forwardAuthRequest("/", credential)},
			{"nginx auth_request, proxy_cache", f.nginx, forwardAuthRequest("/decide", credential)},
		}
	}
	passed := func(credential string) []contestant {
		return []contestant{
			{"gatehouse", f.gatehouse, pageRequest("/orders/2026", credential)},
			{"gatehouse, public route", f.gatehouse, pageRequest("/assets/2026", credential)},
			{"fasthttp HostClient, no check", f.fast, pageRequest("/orders/2026", credential)},
			{"nginx proxy_pass, no check", f.nginx, pageRequest("/assets/2026", credential)},
			{"nginx auth_request, proxy_cache, proxy_pass", f.nginx, pageRequest("/orders/2026", credential)},
		}
	}
	return []contest{
		{"decision, 5 identity headers, 39-byte token", decision(f.session.tokenLine())},
		{"decision, 5 identity headers, 428-byte cookie", decision(f.session.cookieLine())},
		{"proxied request, 1 KiB, 39-byte token", passed(f.session.tokenLine())},
		{"proxied request, 1 KiB, 428-byte cookie", passed(f.session.cookieLine())},
	}
}

// run lets the contestants take turns, and prints what they cost and the ratios of the first to each.
func (c contest) run(rounds int, length time.Duration, connections int) error {
	present := slices.DeleteFunc(c.contestants, func(p contestant) bool { return p.server == nil })
	costs := make([][]float64, len(present))
	for round := range rounds {
		for i := range present {
			turn := (round + i) % len(present) // nobody always follows the same
			cost, err := present[turn].server.cost(present[turn].request, length, connections)
			if err != nil {
				return fmt.Errorf("load %s: %w", present[turn].name, err)
			}
			costs[turn] = append(costs[turn], cost)
		}
	}
	fmt.Printf("\n%-46s %10s   %s\n", c.name, "µs/request", "gatehouse takes this many times as much: median (from - to)")
	for i, p := range present {
		fmt.Printf("  %-44s %10.2f", p.name, median(costs[i]))
		if i > 0 {
			ratios := make([]float64, rounds)
			for round := range rounds {
				ratios[round] = costs[0][round] / costs[i][round]
			}
			fmt.Printf("   %.2f (%.2f - %.2f)", median(ratios), slices.Min(ratios), slices.Max(ratios))
		}
		fmt.Println()
	}
	return nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}
