package load

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"time"
)

// A Plan says who is asked what, and how often.
type Plan struct {
	Address     string // IPv4 and port
	Request     []byte // which is answered by one status, 2xx, and always in as many bytes
	Connections int
	Length      time.Duration // for how long requests are sent

	// Count is how many requests are sent at most. 0 is no bound.
	Count int
	// Vary changes the request before it is sent for the n-th time, counted from 0. It must not make it longer, nor its answer. Nil sends
	// always the same.
	Vary func(request []byte, n int)
	// Rate is how many requests arrive a second. 0 is a closed loop.
	Rate float64
	// Seed chooses the arrivals.
	Seed uint64
	// Spin waits for arrivals without sleeping: for where the processor has nothing else to do.
	Spin bool
	// Anew opens a connection for each request, which has to ask for it to be closed.
	Anew bool
}

// A Result is what came of it.
type Result struct {
	Answers int64
	// Latencies are counted from when each request was due, and sorted. They are those of an open loop.
	Latencies []time.Duration
	// Unseen is how many answers to a load that spins are not among them, since the load itself did not run while they came or while they
	// were to be asked for: something else had its processor.
	Unseen int
	// Delays are how late each was sent by the load's own fault: after it was due and a connection was free. They are sorted.
	Delays []time.Duration
	// Overrun is set if requests still waited long after the last one had been due: the server cannot keep up.
	Overrun bool
}

// Percentile returns the latency that a share p of the sorted values, above 0 and up to 1, does not exceed.
func Percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(int(p*float64(len(sorted))+0.5), 1)-1]
}

// Run does what p says.
func Run(p Plan) (*Result, error) {
	answer, err := Ask(p.Address, p.Request)
	if err != nil {
		return nil, err
	}
	e, err := newEngine(p, answer)
	if err != nil {
		return nil, err
	}
	defer e.close()
	if err := e.run(); err != nil {
		return nil, fmt.Errorf("load %s: %w", p.Address, err)
	}
	slices.Sort(e.result.Latencies)
	slices.Sort(e.result.Delays)
	return &e.result, nil
}

// Ask sends a request once and returns the answer as it came. One with a status other than 2xx is an error.
func Ask(address string, request []byte) ([]byte, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return nil, err
	}
	if _, err := c.Write(request); err != nil {
		return nil, err
	}
	var seen bytes.Buffer
	resp, err := http.ReadResponse(bufio.NewReader(io.TeeReader(c, &seen)), nil)
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return nil, err
	}
	switch resp.StatusCode / 100 {
	case 2:
		return seen.Bytes(), nil
	case 3, 4:
		return nil, fmt.Errorf("%w: %s", ErrRefused, resp.Status)
	default:
		return nil, fmt.Errorf("answer has status %s", resp.Status)
	}
}

// ErrRefused says that an answer has a status 3xx or 4xx.
var ErrRefused = errors.New("the server refuses")

var (
	errStatus = errors.New("an answer has another status than the first one")
	errSize   = errors.New("an answer is longer than the first one")
	errClosed = errors.New("the server has closed a connection")
	errStall  = errors.New("nothing came for ten seconds")
)
