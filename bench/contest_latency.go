package main

import (
	"fmt"
	"time"

	"github.com/gatehouse-proxy/gatehouse/bench/load"
	"github.com/gatehouse-proxy/gatehouse/bench/report"
)

func decisionLatency() contest {
	return contest{
		"decision-latency", "Latency of decisions",
		"Decisions by token, which arrive at random times for both alike, at 60 % of the rate at which the bare server " +
			"answers when it is kept busy. The value is the 99th percentile, from when a request was due.",
		func(a *arena) (*report.Contest, error) {
			ask := questionAt(gatehouseQuestion, byToken)
			return compareLatency(a, 1, 0.6, []contestant{
				{"Gatehouse", gatehouse, ask, 0},
				{"bare fasthttp", bareFast("decision", ask), ask, 1.50},
			})
		},
	}
}

// compareLatency compares the 99th percentiles of latency at a share of the rate that the player at the index pace bears. All get the same
// arrivals in the same round.
func compareLatency(a *arena, pace int, share float64, all []contestant) (*report.Contest, error) {
	players, missing, err := a.players(all)
	if err != nil {
		return nil, err
	}
	most, err := a.throughput(players[pace])
	if err != nil {
		return nil, err
	}
	rate := share * most
	details := make(map[string]*percentiles)
	values, err := inTurns(players, a.rounds, func(p player, round int) (float64, error) {
		result, err := undisturbed(load.Plan{
			Address: p.server.address, Request: p.request, Connections: 2 * a.connections, Length: 2 * a.length, Rate: rate, Seed: uint64(round), Spin: true,
			Vary: p.server.vary,
		})
		if err != nil {
			return 0, err
		}
		if details[p.name] == nil {
			details[p.name] = new(percentiles)
		}
		details[p.name].add(result)
		return micros(load.Percentile(result.Latencies, 0.99)), nil
	})
	if err != nil {
		return nil, err
	}
	c := &report.Contest{
		Unit: fmt.Sprintf("µs (99th percentile) at %.0f requests a second", rate), Rounds: a.rounds, Rows: rows(players, values), Missing: missing,
	}
	for i := range c.Rows {
		c.Rows[i].Note = details[c.Rows[i].Name].String()
	}
	return c, nil
}

// undisturbed runs p anew, a few times at most, while the load itself was late: then the machine had something else to do, and the figures say
// nothing of the server.
func undisturbed(p load.Plan) (result *load.Result, err error) {
	const tries, late = 4, 200 * time.Microsecond
	for range tries {
		if result, err = load.Run(p); err != nil || load.Percentile(result.Delays, 0.99) < late {
			break
		}
	}
	return result, err
}

// throughput returns how many requests a second a player answers when it is kept busy.
func (a *arena) throughput(p player) (float64, error) {
	var rates []float64
	for range 3 {
		result, err := load.Run(load.Plan{Address: p.server.address, Request: p.request, Connections: a.connections, Length: a.length, Vary: p.server.vary})
		if err != nil {
			return 0, fmt.Errorf("%s: %w", p.name, err)
		}
		rates = append(rates, float64(result.Answers)/a.length.Seconds())
	}
	return report.SpreadOf(rates).Median, nil
}

// percentiles are the others of one contestant, round by round, and how late the load itself was.
type percentiles struct {
	p50, p999, late []float64
	overrun         bool
}

func (p *percentiles) add(r *load.Result) {
	p.p50 = append(p.p50, micros(load.Percentile(r.Latencies, 0.5)))
	p.p999 = append(p.p999, micros(load.Percentile(r.Latencies, 0.999)))
	p.late = append(p.late, micros(load.Percentile(r.Delays, 0.5)))
	p.overrun = p.overrun || r.Overrun
}

func (p *percentiles) String() string {
	text := fmt.Sprintf("50th %.0f, 99.9th %.0f; of the 50th, the load took %.0f to send", report.SpreadOf(p.p50).Median, report.SpreadOf(p.p999).Median,
		report.SpreadOf(p.late).Median)
	if p.overrun {
		text += "; could not keep up"
	}
	return text
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }
