package app

import (
	"context"
	"fmt"
	"net/textproto"
	"time"

	"github.com/gatehouse-proxy/gatehouse/internal/config"
	"github.com/gatehouse-proxy/gatehouse/internal/identitytoken"
	"github.com/gatehouse-proxy/gatehouse/internal/policy"
)

// keysInterval is how often the keys of identity tokens are read, as those of certificates are.
const keysInterval = 15 * time.Second

// compile compiles a configuration, with the keys of identity tokens as their files are now, and returns the pools that its routes lead to.
func (a *App) compile(cfg *config.Config) (*policy.Policy, pools, error) {
	next, ofRoute, err := a.apps.prepare(cfg)
	if err != nil {
		return nil, nil, err
	}
	compiled, err := compilePolicy(cfg, ofRoute, a.services.byName())
	if err != nil || cfg.IdentityToken == nil {
		return compiled, next, err
	}
	contents := keyFilesOf(cfg.IdentityToken).Read()
	a.keys = contents.Digest
	for _, name := range contents.Exposed {
		a.opts.Logger.Warn("every user of this machine can read the key of identity tokens, and sign whatever they like: take the right away, "+
			"such as with chmod 600", "file", name)
	}
	compiled, err = withTokens(compiled, cfg.IdentityToken, contents)
	return compiled, next, err
}

// withTokens adds identity tokens to a policy.
func withTokens(compiled *policy.Policy, t *config.IdentityToken, contents identitytoken.Contents) (*policy.Policy, error) {
	signer, err := identitytoken.New(identitytoken.Config{
		Files: keyFilesOf(t), Issuer: t.Issuer, TTL: t.TTL, Claims: t.Claims,
	}, contents)
	if err != nil {
		return nil, fmt.Errorf("load identity_token: %w", err)
	}
	return compiled.WithTokens(policy.Tokens{
		Header: textproto.CanonicalMIMEHeaderKey(t.Header), Signer: signer, KeysPath: t.KeysPath, Keys: signer.Keys(),
	}), nil
}

func keyFilesOf(t *config.IdentityToken) identitytoken.Files {
	return identitytoken.Files{Key: t.KeyFile, Others: t.OtherKeyFiles}
}

// setPolicy puts a policy into force, and the pools that it leads to.
func (a *App) setPolicy(p *policy.Policy, next pools) {
	a.metrics.SetPolicy(p)
	a.server.SetPolicy(p)
	a.apps.use(next)
}

// watchKeys takes over what changes in the keys of identity tokens, until ctx ends.
func (a *App) watchKeys(ctx context.Context) {
	tick := time.NewTicker(keysInterval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			a.rotateKeys()
		case <-ctx.Done():
			return
		}
	}
}

// rotateKeys takes over the keys of identity tokens if they are not those that were last tried. What cannot be loaded leaves those before
// in force.
func (a *App) rotateKeys() {
	a.reloading <- struct{}{}
	defer func() { <-a.reloading }()
	cfg := a.cfg.Load()
	if cfg.IdentityToken == nil || keyFilesOf(cfg.IdentityToken).Read().Digest == a.keys {
		return
	}
	compiled, next, err := a.compile(cfg)
	if err != nil {
		a.opts.Logger.Error("keys of identity tokens were not loaded: those before stay in force", "error", err)
		return
	}
	a.setPolicy(compiled, next)
	a.opts.Logger.Info("keys of identity tokens were loaded")
}
