package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gatehouse-proxy/gatehouse/bench/load"
	"github.com/gatehouse-proxy/gatehouse/bench/report"
)

const (
	manySessions = 1_000_000
	fewSessions  = 1_000
)

var (
	gatehouseMany         = filledGatehouse("Gatehouse, 1,000,000 sessions", manySessions, true)
	gatehouseManyBodiless = filledGatehouse("Gatehouse, 1,000,000 sessions without what whoami says", manySessions, false)
	gatehouseFew          = filledGatehouse("Gatehouse, 1,000 sessions", fewSessions, true)
)

// gatehouseManyInUse is gatehouseMany when only some of the sessions that it knows are in use.
var gatehouseManyInUse = kind{"Gatehouse, 1,000,000 sessions, of which 1,000 are in use", func(a *arena) (*server, error) {
	s, err := a.server(gatehouseMany)
	if err != nil {
		return nil, err
	}
	inUse := *s // the same process
	inUse.vary = renumberBelow(fewSessions)
	return &inUse, nil
}}

// The configuration of a Gatehouse that is filled.
const filledBase = `
listen: %s
admin: %s
app: http://%s
upstream: { kratos: { url: "http://%s" }, max_in_flight: 64 }
session_cache: { size: %d, fresh_for: 2h }
whoami: { keep_body: %v }
trusted_proxies: [127.0.0.0/8]
limits: { unknown_per_client: 0 }
log: { level: warn }
`

// filledGatehouse is a Gatehouse that has been asked about so many sessions, once about each.
func filledGatehouse(name string, sessions int, keepBody bool) kind {
	return kind{name, func(a *arena) (*server, error) {
		service, err := a.server(sessionService)
		if err != nil {
			return nil, err
		}
		admin, err := freeAddress()
		if err != nil {
			return nil, err
		}
		s, err := a.runGatehouse(func(address string) []byte {
			return fmt.Appendf(nil, filledBase+fewRoutes+fewHeaders, address, admin, a.app.address, service.address, sessions, keepBody)
		})
		if err != nil {
			return nil, err
		}
		s.admin, s.session, s.vary = admin, &session{Token: numberedToken(0)}, renumberBelow(sessions)
		if err := s.fill(sessions); err != nil {
			s.stop()
			return nil, err
		}
		return s, nil
	}}
}

// fill asks about each of so many sessions.
func (s *server) fill(sessions int) error {
	_, err := load.Run(load.Plan{
		Address: s.address, Request: question(gatehouseQuestion, byToken(s.session)), Connections: 64, Length: time.Hour, Count: sessions, Vary: renumber,
	})
	if err != nil {
		return err
	}
	held, err := s.metric(`gatehouse_session_cache_entries{table="hot",upstream="kratos"}`)
	if err == nil && held < 0.999*float64(sessions) {
		err = fmt.Errorf("of %d sessions, %.0f are remembered", sessions, held)
	}
	return err
}

func sessionsMemory() contest {
	return contest{
		"sessions-memory", "Memory for a million sessions",
		"The most memory that a new process ever has resident while it is asked about 1,000,000 sessions of Ory Kratos, of each of which whoami says " +
			"1.3 kB; and while it is asked about as many, with `whoami.keep_body: false`.",
		func(a *arena) (*report.Contest, error) {
			c := &report.Contest{Unit: "MiB", Rounds: 1}
			for _, r := range []struct {
				kind kind
				aim  float64
			}{{gatehouseMany, 1792}, {gatehouseManyBodiless, 512}, {gatehouseFew, 0}} {
				s, err := a.server(r.kind)
				if err != nil {
					return nil, err
				}
				mib, err := mostResident(s.cmd.Process.Pid)
				if err != nil {
					return nil, err
				}
				c.Rows = append(c.Rows, report.Row{Name: r.kind.name, Value: report.SpreadOf([]float64{mib}), Aim: r.aim})
			}
			return c, nil
		},
	}
}

func sessionsLatency() contest {
	return contest{
		"sessions-latency", "Latency with a million sessions",
		"Decisions by token as above, at a fifth of the rate that Gatehouse bears: by a process that knows 1,000,000 sessions and is asked about any of " +
			"them, which is the worst that there is for caches of every kind; about 1,000 of them; and by one that knows 1,000. They take turns " +
			"in many short rounds, and the ratio is the median of those within a round. The 99th percentile of all rounds together is beside it: " +
			"collections of garbage are in that, too, which are in few of the rounds.",
		func(a *arena) (*report.Contest, error) {
			const pace, share, roundsEach, part = 2, 0.2, 15, 3
			ask := questionAt(gatehouseQuestion, byToken)
			players, missing, err := a.players([]contestant{
				{gatehouseMany.name, gatehouseMany, ask, 0},
				{gatehouseManyInUse.name, gatehouseManyInUse, ask, 0},
				{gatehouseFew.name, gatehouseFew, ask, 1.2},
			})
			if err != nil {
				return nil, err
			}
			most, err := a.throughput(players[pace])
			if err != nil {
				return nil, err
			}
			plan := load.Plan{Connections: 2 * a.connections, Length: a.length / part, Rate: share * most, Spin: true}
			return shortRounds(players, missing, roundsEach*a.rounds, plan)
		},
	}
}

// shortRounds compares the 99th percentiles of latency in many rounds of p, whose arrivals are the same for all in the same round.
func shortRounds(players []player, missing []string, rounds int, p load.Plan) (*report.Contest, error) {
	together := make(map[string]*load.Result)
	values, err := inTurns(players, rounds, func(who player, round int) (float64, error) {
		p.Address, p.Request, p.Vary, p.Seed = who.server.address, who.request, who.server.vary, uint64(round)
		result, err := load.Run(p)
		if err != nil {
			return 0, err
		}
		all := together[who.name]
		if all == nil {
			all = new(load.Result)
			together[who.name] = all
		}
		all.Answers += result.Answers
		all.Unseen += result.Unseen
		all.Latencies = append(all.Latencies, result.Latencies...)
		return micros(load.Percentile(result.Latencies, 0.99)), nil
	})
	if err != nil {
		return nil, err
	}
	c := &report.Contest{
		Unit: fmt.Sprintf("µs (99th percentile) at %.0f requests a second", p.Rate), Rounds: rounds, Rows: rows(players, values), Missing: missing,
	}
	for i := range c.Rows {
		all := together[c.Rows[i].Name]
		slices.Sort(all.Latencies)
		c.Rows[i].Note = fmt.Sprintf("50th %.0f; of all rounds together, 99th %.0f, without the %.1f %% whose time is not known since the load itself did not run",
			micros(load.Percentile(all.Latencies, 0.5)), micros(load.Percentile(all.Latencies, 0.99)), 100*float64(all.Unseen)/float64(all.Answers))
	}
	return c, nil
}

func sessionsPauses() contest {
	return contest{
		"sessions-pauses", "Pauses with a million sessions",
		"For how long nobody is served each time that garbage is collected, as a rule: the median of some collections that it is made to do " +
			"one after the other while the same decisions keep the server busy. Without a kernel, in one process, it is the same for both: twice 30 µs.",
		func(a *arena) (*report.Contest, error) {
			ask := questionAt(gatehouseQuestion, byToken)
			players, missing, err := a.players([]contestant{
				{gatehouseMany.name, gatehouseMany, ask, 0},
				{gatehouseFew.name, gatehouseFew, ask, 1.2},
			})
			if err != nil {
				return nil, err
			}
			values, err := inTurns(players, a.rounds, func(p player, _ int) (float64, error) {
				return p.server.pause(load.Plan{
					Address: p.server.address, Request: p.request, Connections: a.connections, Length: a.length, Vary: p.server.vary,
				})
			})
			if err != nil {
				return nil, err
			}
			return &report.Contest{Unit: "µs a collection", Rounds: a.rounds, Rows: rows(players, values), Missing: missing}, nil
		},
	}
}

// pause returns for how long, in microseconds, the process stood still for one collection of garbage: the median of some that it is made to do
// under p.
func (s *server) pause(p load.Plan) (float64, error) {
	const collections = 9
	collected := make(chan error, 1)
	var each []float64
	go func() {
		var err error
		for i := 0; i < collections && err == nil; i++ {
			var pause float64
			pause, err = s.collected()
			each = append(each, pause)
		}
		collected <- err
	}()
	for {
		if _, err := load.Run(p); err != nil {
			return 0, err
		}
		select {
		case err := <-collected:
			return report.SpreadOf(each).Median, err
		default:
		}
	}
}

// collected makes the process collect its garbage once, and returns for how many microseconds it stood still for that.
func (s *server) collected() (float64, error) {
	before, err := s.pauses()
	if err != nil {
		return 0, err
	}
	if _, err := s.ask("/debug/pprof/heap?gc=1"); err != nil {
		return 0, err
	}
	after, err := s.pauses()
	return (after.seconds - before.seconds) * 1e6 / (after.count - before.count), err
}

// pauses are all that there have been.
type pauses struct{ seconds, count float64 }

func (s *server) pauses() (p pauses, err error) {
	if p.seconds, err = s.metric("go_gc_duration_seconds_sum"); err != nil {
		return p, err
	}
	p.count, err = s.metric("go_gc_duration_seconds_count")
	return p, err
}

// metric returns what the process says of itself.
func (s *server) metric(name string) (float64, error) {
	text, err := s.ask("/metrics")
	if err != nil {
		return 0, err
	}
	_, rest, _ := strings.Cut(text, "\n"+name+" ")
	value, _, _ := strings.Cut(rest, "\n")
	v, err := strconv.ParseFloat(value, 64)
	if err != nil {
		return 0, fmt.Errorf("read metric %s: %w", name, err)
	}
	return v, nil
}

// ask asks the administration of a Gatehouse.
func (s *server) ask(path string) (string, error) {
	resp, err := http.Get("http://" + s.admin + path)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return "", fmt.Errorf("get %s: status %s", path, resp.Status)
	}
	body, err := io.ReadAll(resp.Body)
	return string(body), err
}

// mostResident returns the most memory of a process that has ever been in RAM, in MiB.
func mostResident(pid int) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, fmt.Errorf("read memory: %w", err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	var kib float64
	if _, err := fmt.Sscanf(strings.TrimSpace(rest), "%f kB", &kib); err != nil {
		return 0, fmt.Errorf("read memory: %w", err)
	}
	return kib / 1024, nil
}
