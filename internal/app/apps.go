package app

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"log/slog"
	"net"
	"os"
	"sync"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/internal/metrics"
	"github.com/gatehouse-proxy/gatehouse/internal/policy"
	"github.com/gatehouse-proxy/gatehouse/proxy"
)

// apps are the pools of connections to the applications: one for each way in which the configuration names one. A pool outlives a reload
// that names it in the same way.
type apps struct {
	log     *slog.Logger
	metrics *metrics.Metrics

	mu   sync.Mutex
	open pools
}

// pools are pools by how the configuration names them.
type pools map[appKey]*proxy.App

// An appKey is an application as the configuration names it, and a digest of its files: a certificate that was renewed makes another pool.
type appKey struct {
	config.App
	files [sha256.Size]byte
}

// prepare returns the pools for a configuration: those that there are, and new ones for the rest. The new ones take up nothing until they
// are used. ofRoute has the pool of each route, nil for none. The nil apps has none at all.
func (as *apps) prepare(cfg *config.Config) (next pools, ofRoute []policy.App, err error) {
	if as == nil {
		return nil, nil, nil
	}
	as.mu.Lock()
	defer as.mu.Unlock()
	next, ofRoute = pools{}, make([]policy.App, len(cfg.Routes))
	for i := range cfg.Routes {
		a := cfg.AppOf(&cfg.Routes[i])
		if a == nil {
			continue
		}
		files, err := readAppFiles(a)
		if err != nil {
			return nil, nil, fmt.Errorf("prepare application %s: %w", a.URL, err)
		}
		key := appKey{*a, files.digest()}
		if next[key] == nil {
			next[key] = as.open[key]
		}
		if next[key] == nil {
			if next[key], err = as.newPool(a, files); err != nil {
				return nil, nil, fmt.Errorf("prepare application %s: %w", a.URL, err)
			}
		}
		ofRoute[i] = next[key]
	}
	return next, ofRoute, nil
}

// use makes next the pools in force. Those that are no longer named end when the requests under way have.
func (as *apps) use(next pools) {
	as.mu.Lock()
	last := as.open
	as.open = next
	as.mu.Unlock()
	for key, pool := range last {
		if next[key] != pool {
			pool.Close()
		}
	}
}

// down says for each application by name whether it is out of reach.
func (as *apps) down() map[string]bool {
	as.mu.Lock()
	defer as.mu.Unlock()
	all := map[string]bool{}
	for _, pool := range as.open {
		all[pool.Name()] = all[pool.Name()] || pool.Down()
	}
	return all
}

// The times of every application that are not for the configuration to choose.
const (
	appDialTimeout = 3 * time.Second
	appConnWait    = time.Second
	appKeepAlive   = 4 * time.Second // less than Node's 5 s
	appMaxAge      = time.Minute
	appLookEvery   = 2 * time.Second
)

func (as *apps) newPool(a *config.App, files appFiles) (*proxy.App, error) {
	network, address, secured := a.Target()
	cfg := proxy.AppConfig{
		Name: a.URL, Network: network, Address: address, MaxConns: a.MaxConns,
		DialTimeout: appDialTimeout, ConnWait: appConnWait, HeadTimeout: a.HeadTimeout, IdleTimeout: a.IdleTimeout,
		KeepAlive: appKeepAlive, MaxAge: appMaxAge, LookEvery: appLookEvery,
		Observer: as.metrics.App(a.URL), Logger: as.log,
	}
	if secured {
		var err error
		if cfg.TLS, err = files.tls(a, address); err != nil {
			return nil, err
		}
	}
	return proxy.NewApp(cfg), nil
}

// appFiles are the contents of the files of an application: authorities, certificate and key.
type appFiles [3][]byte

func readAppFiles(a *config.App) (files appFiles, err error) {
	for i, name := range []string{a.CAFile, a.CertFile, a.KeyFile} {
		if name == "" {
			continue
		}
		if files[i], err = os.ReadFile(name); err != nil {
			return files, err
		}
	}
	return files, nil
}

func (f appFiles) digest() [sha256.Size]byte {
	var all []byte
	for _, content := range f {
		all = append(binary.BigEndian.AppendUint64(all, uint64(len(content))), content...)
	}
	return sha256.Sum256(all)
}

// tls returns how TLS is spoken to an application: with a certificate that is verified, and only HTTP/1.1 in it.
func (f appFiles) tls(a *config.App, address string) (*tls.Config, error) {
	cfg := &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1"}, ServerName: a.ServerName}
	if cfg.ServerName == "" {
		cfg.ServerName, _, _ = net.SplitHostPort(address)
	}
	if a.CAFile != "" {
		cfg.RootCAs = x509.NewCertPool()
		if !cfg.RootCAs.AppendCertsFromPEM(f[0]) {
			return nil, fmt.Errorf("load authorities from %s: there is no certificate in it", a.CAFile)
		}
	}
	if a.CertFile != "" {
		pair, err := tls.X509KeyPair(f[1], f[2])
		if err != nil {
			return nil, fmt.Errorf("load certificate from %s and its key from %s: %w", a.CertFile, a.KeyFile, err)
		}
		cfg.Certificates = []tls.Certificate{pair}
	}
	return cfg, nil
}
