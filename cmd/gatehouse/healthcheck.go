package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// healthTimeout is how long a health check waits for an answer.
const healthTimeout = 3 * time.Second

// healthcheck asks the admin listener of the gateway with the same configuration whether it is ready.
func healthcheck(c *call) error {
	file := configFlag(c)
	if _, err := c.parse(0); err != nil {
		return err
	}
	cfg, err := c.load(*file)
	if err != nil {
		return err
	}
	base, err := adminURL(cfg.Admin)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(c.ctx, healthTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, base+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("build request: %w", err)
	}
	client := http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return hinted{fmt.Errorf("ask whether the gateway is ready: %w", err), "is the gateway running, with the same configuration?"}
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the gateway is not ready: %s", strings.TrimSpace(string(body)))
	}
	_, err = fmt.Fprintln(c.stdout, "ready")
	return err
}

// adminURL returns the URL of an admin listener, by its address as the configuration has it.
func adminURL(address string) (string, error) {
	if address == "" {
		return "", hinted{errors.New("there is no admin listener to ask"), "set `admin:` in the configuration"}
	}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return "", fmt.Errorf("read admin address: %w", err)
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1" // it listens on every address of this machine
		if strings.Contains(address, "[") {
			host = "::1"
		}
	}
	return "http://" + net.JoinHostPort(host, port), nil
}
