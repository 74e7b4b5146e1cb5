package main

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/gatehouse-proxy/gatehouse/bench/load"
	"github.com/gatehouse-proxy/gatehouse/bench/report"
)

const (
	strangers = 50_000
	slowness  = 5 * time.Millisecond
	places    = 48   // for questions about strangers: three quarters of max_in_flight, see package guard
	rushing   = 256  // connections over which strangers come: some always wait for one of the places
	calls     = 1000 // decisions a second about somebody who is known
	callsFor  = 4 * time.Second
)

// slowService takes slowness for an answer, on average.
var slowService = kind{"slow session service", func(a *arena) (*server, error) {
	return a.startSelf("sessions", a.cpus.load, slowness.String())
}}

// coldStarts are measured once, for two contests.
type coldStarts []coldStart

// A coldStart is what came of one.
type coldStart struct {
	took, alone           time.Duration
	cost                  float64      // CPU time of the gateway, in microseconds a session
	busy, loadBusy        float64      // shares of the processors of the gateway, and of all others
	before, during, apart *load.Result // of the calls
}

func (all *coldStarts) measure(a *arena) error {
	for len(*all) < a.rounds {
		c, err := a.coldStart(uint64(len(*all)))
		if err != nil {
			return err
		}
		*all = append(*all, c)
	}
	return nil
}

// each returns a figure of each of them.
func (all coldStarts) each(figure func(coldStart) float64) []float64 {
	values := make([]float64, len(all))
	for i, c := range all {
		values[i] = figure(c)
	}
	return values
}

func cold(all *coldStarts) contest {
	return contest{
		"cold", "A cold start",
		"How long it takes a new process to decide about 50,000 sessions of Ory Kratos that it does not know, asked for over 256 connections at " +
			"once, when the service takes 4 to 6 ms for every answer and is asked at most 64 questions at a time, of which 48 may be about somebody " +
			"unknown; and how long the service takes for as many answers if it is asked itself, over 48 connections.",
		func(a *arena) (*report.Contest, error) {
			if err := all.measure(a); err != nil {
				return nil, err
			}
			c := &report.Contest{Unit: "ms", Rounds: a.rounds, Rows: rows([]player{
				{contestant: contestant{name: "Gatehouse"}}, {contestant: contestant{name: "the service alone", aim: 1.1}},
			}, [][]float64{
				all.each(func(c coldStart) float64 { return micros(c.took) / 1e3 }),
				all.each(func(c coldStart) float64 { return micros(c.alone) / 1e3 }),
			})}
			median := func(figure func(coldStart) float64) float64 { return report.SpreadOf(all.each(figure)).Median }
			c.Rows[0].Note = fmt.Sprintf("%.0f µs of CPU time a session; its processor was busy for %.0f %% of the time, that of the load and the service for %.0f %%",
				median(func(c coldStart) float64 { return c.cost }),
				median(func(c coldStart) float64 { return 100 * c.busy }),
				median(func(c coldStart) float64 { return 100 * c.loadBusy }))
			return c, nil
		},
	}
}

func coldLatency(all *coldStarts) contest {
	return contest{
		"cold-latency", "Latency during a cold start",
		"Decisions about a session that is known, 1,000 a second at random times: for the first four seconds of that cold start, and for as long " +
			"before it. The bare server is asked the same while the service is kept as busy by somebody else: what it takes is what is to be had " +
			"on a machine whose other processor is shared by the load, the service and who keeps it busy. The value is the 99th percentile, from when " +
			"a request was due.",
		func(a *arena) (*report.Contest, error) {
			if err := all.measure(a); err != nil {
				return nil, err
			}
			var (
				players []player
				values  [][]float64
				notes   []string
			)
			add := func(name string, aim float64, of func(coldStart) *load.Result) {
				players = append(players, player{contestant: contestant{name: name, aim: aim}})
				values = append(values, all.each(func(c coldStart) float64 { return micros(load.Percentile(of(c).Latencies, 0.99)) }))
				var others percentiles
				for _, c := range *all {
					others.add(of(c))
				}
				notes = append(notes, others.String())
			}
			add("Gatehouse, during a cold start", 0, func(c coldStart) *load.Result { return c.during })
			add("Gatehouse, before it", 1.5, func(c coldStart) *load.Result { return c.before })
			add("bare fasthttp, while the service is busy", 0, func(c coldStart) *load.Result { return c.apart })
			c := &report.Contest{Unit: "µs (99th percentile)", Rounds: a.rounds, Rows: rows(players, values)}
			for i := range c.Rows {
				c.Rows[i].Note = notes[i]
			}
			return c, nil
		},
	}
}

// coldStart starts a Gatehouse and sends all strangers to it, and then as many questions to the service. seed chooses the arrivals of calls.
func (a *arena) coldStart(seed uint64) (c coldStart, err error) {
	service, err := a.server(slowService)
	if err != nil {
		return c, err
	}
	ask := questionAt(gatehouseQuestion, byToken)
	bare, err := a.server(bareFast("decision", ask))
	if err != nil {
		return c, err
	}
	s, err := a.runGatehouse(func(address string) []byte {
		return fmt.Appendf(nil, filledBase+fewRoutes+fewHeaders, address, `""`, a.app.address, service.address, 2*strangers, true)
	})
	if err != nil {
		return c, err
	}
	defer s.stop()
	somebody := ask(&session{Token: numberedToken(strangers)}) // behind the others
	calling := load.Plan{Address: s.address, Request: somebody, Connections: 16, Length: callsFor, Rate: calls, Seed: seed}
	if c.before, err = load.Run(calling); err != nil {
		return c, err
	}
	began, err := a.clocks(s, service)
	if err != nil {
		return c, err
	}
	rushed, err := startRush(s.address, rushing, somebody)
	if err != nil {
		return c, err
	}
	if c.during, err = load.Run(calling); err != nil {
		return c, err
	}
	cost, err := rushed(&c.took)
	if err != nil {
		return c, err
	}
	ended, err := a.clocks(s, service)
	if err != nil {
		return c, err
	}
	c.cost = micros(ended.server-began.server) / strangers
	c.busy = float64(ended.server-began.server) / float64(c.took)
	c.loadBusy = float64(ended.load-began.load+cost) / float64(c.took)
	calling.Address, calling.Request = bare.address, ask(a.session)
	asked, err := startRush(service.address, places, []byte("GET "+readyPath+" HTTP/1.1\r\nHost: kratos\r\n\r\n"))
	if err != nil {
		return c, err
	}
	if c.apart, err = load.Run(calling); err != nil {
		return c, err
	}
	_, err = asked(&c.alone)
	return c, err
}

// cpuTimes are those of a server, and of this process and a service, which share the other processor.
type cpuTimes struct{ server, load time.Duration }

func (a *arena) clocks(server, service *server) (t cpuTimes, err error) {
	if t.server, err = cpuTime(server.cmd.Process.Pid); err != nil {
		return t, err
	}
	if t.load, err = cpuTime(service.cmd.Process.Pid); err != nil {
		return t, err
	}
	own, err := ownTime()
	t.load += own
	return t, err
}

// startRush has a process of its own ask about all strangers, or as many other questions. What it returns waits until all are answered, says how
// long that took, and returns the CPU time that the process had.
func startRush(address string, connections int, request []byte) (wait func(took *time.Duration) (cost time.Duration, err error), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	cmd := exec.Command(self, playArgument, "rush", address, strconv.Itoa(connections), string(request))
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGTERM} // as of servers; and like this process, it is on the processor of the load
	var said strings.Builder
	cmd.Stdout, cmd.Stderr = &said, os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start rush: %w", err)
	}
	return func(took *time.Duration) (time.Duration, error) {
		if err := cmd.Wait(); err != nil {
			return 0, fmt.Errorf("rush: %w", err)
		}
		var err error
		*took, err = time.ParseDuration(said.String())
		return cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), err
	}, nil
}

// rush is that process. A request with a token is made one for each stranger.
func rush(address, connections, request string) error {
	n, err := strconv.Atoi(connections)
	if err != nil {
		return err
	}
	p := load.Plan{Address: address, Request: []byte(request), Connections: n, Length: time.Hour, Count: strangers}
	if strings.Contains(request, numberedPrefix) {
		p.Vary = renumber
	}
	began := time.Now()
	result, err := load.Run(p)
	if err != nil {
		return err
	}
	if result.Answers != strangers {
		return fmt.Errorf("%d of %d are answered", result.Answers, strangers)
	}
	fmt.Print(time.Since(began))
	return nil
}
