package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/gatehouse-proxy/gatehouse/bench/load"
	"github.com/gatehouse-proxy/gatehouse/bench/report"
)

// wantedIdle is how many connections are kept open, if as many files may be.
const wantedIdle = 20_000

func idle() contest {
	return contest{
		"idle", "Idle connections",
		"Resident memory of a new process that has answered one request over each of 20,000 connections, which stay open, or over as many as the " +
			"limit of open files allows: how many it were is in the head of the table. The kernel's memory for them is not in it.",
		func(a *arena) (*report.Contest, error) {
			ask := questionAt(gatehouseQuestion, byToken)
			ok := questionAt(uncheckedAnswer, byToken)
			return compareIdle(a, []contestant{
				{"Gatehouse", gatehouse, ask, 400},
				{"bare fasthttp", bareFast("decision", ask), ask, 0},
				{"bare net/http", bareNet("decision", ask), ask, 0},
				{"nginx, no check", nginx, ok, 0},
				{"HAProxy, no check", haproxy, ok, 0},
				{"Caddy, no check", caddy, ok, 0},
			})
		},
	}
}

// compareIdle compares memory with many connections. Each value is that of a process of its own, since memory is not given back at once.
func compareIdle(a *arena, all []contestant) (*report.Contest, error) {
	files, err := mostFiles()
	if err != nil {
		return nil, err
	}
	n := min(wantedIdle, files-200)
	if n < wantedIdle {
		warn("only %d connections are kept open, since a process may have %d files (ulimit -Hn)", n, files)
	}
	var (
		present []player
		missing []string
		values  [][]float64
	)
	for _, c := range all {
		mib, err := a.idleMemory(c, n)
		if errors.Is(err, errMissing) {
			warn("%s is left out: %v", c.name, err)
			missing = append(missing, fmt.Sprintf("%s (%s)", c.name, errMissing))
			continue
		} else if err != nil {
			return nil, fmt.Errorf("%s: %w", c.name, err)
		}
		present = append(present, player{contestant: c})
		values = append(values, []float64{mib})
	}
	return &report.Contest{Unit: fmt.Sprintf("MiB with %d connections", n), Rounds: 1, Rows: rows(present, values), Missing: missing}, nil
}

// idleMemory returns the memory of a new server with n idle connections, in MiB.
func (a *arena) idleMemory(c contestant, n int) (float64, error) {
	s, err := c.kind.start(a)
	if err != nil {
		return 0, err
	}
	defer s.stop()
	known := a.session
	if s.session != nil {
		known = s.session
	}
	request := c.request(known)
	answer, err := load.Ask(s.address, request)
	if err != nil {
		return 0, err
	}
	open := make([]net.Conn, 0, n)
	defer func() {
		for _, c := range open {
			_ = c.Close()
		}
	}()
	for i := range n {
		// One address has few ports, and looking for a free one takes the kernel the longer the fewer there are.
		from := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, byte(1+i%16))}}
		c, err := from.Dial("tcp", s.address)
		if err != nil {
			return 0, err
		}
		open = append(open, c)
		if _, err := c.Write(request); err != nil {
			return 0, err
		}
		if _, err := io.ReadFull(c, answer); err != nil {
			return 0, err
		}
	}
	time.Sleep(time.Second) // for what is freed behind a request
	bytes, err := resident(s.cmd.Process.Pid)
	return float64(bytes) / (1 << 20), err
}
