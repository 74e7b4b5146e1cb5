package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// forwardAuthRequest returns the bytes of a question as Traefik asks it.
func forwardAuthRequest(path, credential string) []byte {
	return []byte("GET " + path + " HTTP/1.1\r\nHost: auth.internal\r\n" + browserLines + credential + "\r\n" +
		"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Host: app.example.com\r\nX-Forwarded-Method: GET\r\nX-Forwarded-Proto: https\r\n" +
		"X-Forwarded-Uri: /orders/2026?page=2\r\n\r\n")
}

// pageRequest returns the bytes of a request as a browser sends it.
func pageRequest(path, credential string) []byte {
	return []byte("GET " + path + "?page=2 HTTP/1.1\r\nHost: app.example.com\r\n" + browserLines + credential + "\r\n\r\n")
}

const browserLines = "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36\r\nAccept: text/html,application/xhtml+xml\r\n" +
	"Accept-Encoding: gzip\r\nAccept-Language: en\r\n"

// load sends the request again and again over each connection for the length given, and returns how many answers came. All answers must be
// 200 and of the same size.
func load(address string, request []byte, length time.Duration, connections int) (int64, error) {
	size, err := probe(address, request)
	if err != nil {
		return 0, err
	}
	var (
		answers atomic.Int64
		stop    atomic.Bool
		errs    = make(chan error, connections)
		running sync.WaitGroup
	)
	timer := time.AfterFunc(length, func() { stop.Store(true) })
	defer timer.Stop()
	for range connections {
		running.Go(func() {
			n, err := loop(address, request, size, &stop)
			answers.Add(n)
			if err != nil {
				errs <- err
			}
		})
	}
	running.Wait()
	close(errs)
	return answers.Load(), <-errs
}

// probe sends the request once and returns the size of the answer.
func probe(address string, request []byte) (int, error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	if _, err := c.Write(request); err != nil {
		return 0, err
	}
	var seen bytes.Buffer
	resp, err := http.ReadResponse(bufio.NewReader(io.TeeReader(c, &seen)), nil)
	if err != nil {
		return 0, err
	}
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, err
	}
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("answer has status %s", resp.Status)
	}
	return seen.Len(), nil
}

func loop(address string, request []byte, size int, stop *atomic.Bool) (answers int64, err error) {
	c, err := net.Dial("tcp", address)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	answer := make([]byte, size)
	for !stop.Load() {
		if _, err := c.Write(request); err != nil {
			return answers, err
		}
		if _, err := io.ReadFull(c, answer); err != nil {
			return answers, err
		}
		if !bytes.HasPrefix(answer, []byte("HTTP/1.1 200 ")) {
			return answers, errors.New("answer is not 200")
		}
		answers++
	}
	return answers, nil
}
