package main

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// A client asks for decisions over one connection.
type client struct {
	conn net.Conn
	in   *bufio.Reader
}

func dial(address string) (*client, error) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return nil, err
	}
	return &client{conn, bufio.NewReader(conn)}, nil
}

// ask asks about the session of number n, which must be let in.
func (c *client) ask(n int) error {
	_, err := fmt.Fprintf(c.conn, "GET /.gatehouse/auth HTTP/1.1\r\nHost: auth.internal\r\nX-Session-Token: %s\r\nX-Forwarded-For: 192.0.2.7\r\n"+
		"X-Forwarded-Host: app.example.com\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Uri: /\r\n\r\n", token(n))
	if err != nil {
		return err
	}
	resp, err := http.ReadResponse(c.in, nil)
	if err != nil {
		return err
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("X-User-Id") == "" {
		return fmt.Errorf("session %d is answered with status %s", n, resp.Status)
	}
	return nil
}

// ask asks about the sessions from one number to another, over so many connections, and returns how long each answer took.
func ask(address string, connections, from, to int) ([]time.Duration, error) {
	took := make([]time.Duration, to-from)
	var next atomic.Int64
	next.Store(int64(from))
	errs := make(chan error, connections)
	var running sync.WaitGroup
	for range connections {
		running.Go(func() {
			c, err := dial(address)
			if err != nil {
				errs <- err
				return
			}
			defer c.conn.Close()
			for n := int(next.Add(1) - 1); n < to; n = int(next.Add(1) - 1) {
				began := time.Now()
				if err := c.ask(n); err != nil {
					errs <- err
					return
				}
				took[n-from] = time.Since(began)
			}
		})
	}
	running.Wait()
	close(errs)
	return took, <-errs
}

// sample asks, one after the other, about sessions below a number, each of them known, and returns how long each answer took.
func sample(address string, sessions, times int) ([]time.Duration, error) {
	c, err := dial(address)
	if err != nil {
		return nil, err
	}
	defer c.conn.Close()
	took := make([]time.Duration, 0, times)
	for range times {
		n := rand.IntN(sessions)
		began := time.Now()
		if err := c.ask(n); err != nil {
			return nil, err
		}
		took = append(took, time.Since(began))
		time.Sleep(200 * time.Microsecond)
	}
	return took, nil
}
