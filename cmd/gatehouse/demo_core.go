//go:build core

package main

import "github.com/gatehouse-proxy/gatehouse/internal/parts"

func runDemo(*call) error { return parts.Demo }
