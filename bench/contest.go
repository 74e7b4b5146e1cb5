package main

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/gatehouse-proxy/gatehouse/bench/load"
	"github.com/gatehouse-proxy/gatehouse/bench/report"
)

// A contest is one kind of work, which several do in turn. Its name is what -only looks for.
type contest struct {
	name, title, about string
	run                func(*arena) (*report.Contest, error)
}

// contests returns all, in the order of the page.
func contests() []contest {
	starts := new(coldStarts)
	return []contest{
		decisionByToken(), decisionByCookie(), decisionLatency(), routes(), whoami(), accept(),
		field(), proxied(), proxiedByCookie(), idle(), sessionsMemory(), sessionsLatency(), sessionsPauses(), cold(starts), coldLatency(starts),
	}
}

// A contestant is a server and what it is asked. The first of a contest is Gatehouse.
type contestant struct {
	name    string
	kind    kind
	request func(*session) []byte
	aim     float64 // what the ratio of Gatehouse to it may be at most; 0 if there is none
}

// A player is a contestant who is there.
type player struct {
	contestant
	server  *server
	request []byte
}

// players starts the contestants. Those whose program is not installed are returned as missing.
func (a *arena) players(all []contestant) (present []player, missing []string, err error) {
	for _, c := range all {
		s, err := a.server(c.kind)
		if errors.Is(err, errMissing) {
			warn("%s is left out: %v", c.name, err)
			missing = append(missing, fmt.Sprintf("%s (%s)", c.name, errMissing))
			continue
		} else if err != nil {
			return nil, nil, err
		}
		present = append(present, player{c, s, c.request(cmp.Or(s.session, a.session))})
	}
	return present, missing, nil
}

// inTurns calls measure for every player, round by round. Nobody always follows the same.
func inTurns(players []player, rounds int, measure func(p player, round int) (float64, error)) (values [][]float64, err error) {
	values = make([][]float64, len(players))
	for round := range rounds {
		for i := range players {
			turn := (round + i) % len(players)
			value, err := measure(players[turn], round)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", players[turn].name, err)
			}
			values[turn] = append(values[turn], value)
		}
	}
	return values, nil
}

// rows returns the rows of the players, of whom the first is compared with the others.
func rows(players []player, values [][]float64) (all []report.Row) {
	for i, p := range players {
		row := report.Row{Name: p.name, Value: report.SpreadOf(values[i]), Aim: p.aim}
		if i > 0 {
			row.Ratio = report.Ratios(values[0], values[i])
		}
		all = append(all, row)
	}
	return all
}

const costUnit = "µs of CPU time a request"

// compareCost compares what the requests of the contestants cost. vary changes how they are sent; it may be nil.
func compareCost(a *arena, all []contestant, vary func(*load.Plan)) (*report.Contest, error) {
	players, missing, err := a.players(all)
	if err != nil {
		return nil, err
	}
	return costs(a, players, missing, vary)
}

// costs is compareCost of those who are there.
func costs(a *arena, players []player, missing []string, vary func(*load.Plan)) (*report.Contest, error) {
	values, err := inTurns(players, a.rounds, func(p player, _ int) (float64, error) {
		plan := load.Plan{Request: p.request, Connections: a.connections, Length: a.length}
		if vary != nil {
			vary(&plan)
		}
		return p.server.cost(plan)
	})
	if err != nil {
		return nil, err
	}
	return &report.Contest{Unit: costUnit, Rounds: a.rounds, Rows: rows(players, values), Missing: missing}, nil
}
