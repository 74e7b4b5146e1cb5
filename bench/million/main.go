package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"slices"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "million:", err)
		os.Exit(1)
	}
}

func run() error {
	sessions := flag.Int("sessions", 0, "how many sessions; 0 is 1,000,000 for memory and 50,000 for cold")
	keepBody := flag.Bool("keep-body", true, "whether what whoami says is remembered")
	connections := flag.Int("connections", 64, "connections to the gateway")
	inFlight := flag.Int("in-flight", 64, "questions that the gateway may have under way at once")
	limit := flag.String("memory-limit", "", "GOMEMLIMIT of the gateway, such as 480MiB; empty leaves it to the gateway")
	latency := flag.Duration("latency", 5*time.Millisecond, "how long the service takes for an answer, in cold")
	flag.Parse()
	dir, err := os.MkdirTemp("", "gatehouse-million-")
	if err != nil {
		return fmt.Errorf("make directory: %w", err)
	}
	defer os.RemoveAll(dir)
	g := &gateway{dir: dir, keepBody: *keepBody, inFlight: *inFlight, limit: *limit}
	switch flag.Arg(0) {
	case "memory":
		return memory(g, orElse(*sessions, 1_000_000), *connections)
	case "cold":
		return cold(g, orElse(*sessions, 50_000), *latency)
	default:
		return errors.New("say what to measure: memory or cold")
	}
}

func orElse(n, other int) int {
	if n == 0 {
		return other
	}
	return n
}

// memory fills gateways with few sessions and with many, and compares them.
func memory(g *gateway, sessions, connections int) error {
	var few, many []time.Duration
	for _, n := range []int{1000, sessions} {
		s := &service{}
		if err := g.start(s, n); err != nil {
			return err
		}
		empty := g.resident("VmRSS")
		began := time.Now()
		if _, err := ask(g.address, connections, 0, n); err != nil {
			return err
		}
		took := time.Since(began)
		settled, peak := g.resident("VmRSS"), g.resident("VmHWM")
		cpu := g.cpuTime()
		if err := g.collectGarbage(); err != nil {
			return err
		}
		cycle := g.cpuTime() - cpu
		time.Sleep(time.Second)
		collected := g.resident("VmRSS")
		asked := s.questions.Load()
		if _, err := ask(g.address, connections, 0, n); err != nil {
			return err
		}
		lost := s.questions.Load() - asked
		hits, err := sample(g.address, n, 20_000)
		if err != nil {
			return err
		}
		pause, err := g.longestPause()
		if err != nil {
			return err
		}
		g.stop()
		s.stop()
		fmt.Printf("%d sessions, whoami.keep_body %v, GOMEMLIMIT %q, asked for in %v:\n", n, g.keepBody, g.limit, took.Round(time.Second))
		fmt.Printf("  resident          %7.1f MiB after the garbage was collected; %.1f before, %.1f at most, %.1f at the start\n",
			collected, settled, peak, empty)
		fmt.Printf("  of each session   %7.0f bytes\n", (collected-empty)*(1<<20)/float64(n))
		fmt.Printf("  remembered        %7d\n", n-int(lost))
		fmt.Printf("  a collection      %7.0f ms of CPU time; the longest pause of all was %v\n", float64(cycle)/1e6, pause)
		fmt.Printf("  a hit             %7v in the median, %v at p99\n", quantile(hits, 0.5), quantile(hits, 0.99))
		few, many = many, hits
	}
	fmt.Printf("p99 of a hit is %.2f times as long, the median %.2f times\n", ratio(many, few, 0.99), ratio(many, few, 0.5))
	return nil
}

// cold lets a gateway that knows nobody meet everybody, while somebody who is known goes on.
func cold(g *gateway, sessions int, latency time.Duration) error {
	s := &service{latency: latency}
	if err := g.start(s, 2*sessions); err != nil {
		return err
	}
	defer g.stop()
	defer s.stop()
	const known = 0
	before, err := sample(g.address, 1, 3000)
	if err != nil {
		return err
	}
	cpu := g.cpuTime()
	done := make(chan error, 1)
	began := time.Now()
	var took time.Duration
	go func() {
		_, err := ask(g.address, 4*g.inFlight, known+1, known+1+sessions)
		took = time.Since(began)
		done <- err
	}()
	var during []time.Duration
	for running := true; running; {
		some, err := sample(g.address, 1, 100)
		if err != nil {
			return err
		}
		during = append(during, some...)
		select {
		case err := <-done:
			if err != nil {
				return err
			}
			running = false
		default:
		}
	}
	cpu = (g.cpuTime() - cpu) / time.Duration(sessions)
	ideal := time.Duration(sessions) * latency / time.Duration(g.inFlight)
	fmt.Printf("%d unknown sessions, service takes %v, %d questions at once: %v; the service alone takes %v, which is %.2f times less\n",
		sessions, latency, g.inFlight, took.Round(time.Millisecond), ideal, float64(took)/float64(ideal))
	fmt.Printf("questions: %d, at most %d at once; the gateway took %v of CPU time for each\n", s.questions.Load(), s.most.Load(), cpu)
	fmt.Printf("a hit: %v in the median and %v at p99 before, %v and %v meanwhile: %.2f and %.2f times as long\n",
		quantile(before, 0.5), quantile(before, 0.99), quantile(during, 0.5), quantile(during, 0.99),
		ratio(during, before, 0.5), ratio(during, before, 0.99))
	return nil
}

func quantile(all []time.Duration, q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(all))
	return sorted[int(float64(len(sorted)-1)*q)]
}

func ratio(a, b []time.Duration, q float64) float64 {
	return float64(quantile(a, q)) / float64(quantile(b, q))
}
