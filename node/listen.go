package node

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"syscall"

	"golang.org/x/net/netutil"
)

// ErrPortBusy says that another program, perhaps another node, listens on the
// port already.
var ErrPortBusy = errors.New("in use")

// listen opens the node's socket.
func listen(cfg *Config) (net.Listener, error) {
	ln, err := net.Listen("tcp", net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port))))
	switch {
	case err == nil:
		return netutil.LimitListener(ln, cfg.MaxConnections), nil
	case busy(err):
		return nil, fmt.Errorf("port %d is %w, perhaps by another node; try -p %d", cfg.Port, ErrPortBusy, freePort(cfg))
	case errors.Is(err, os.ErrPermission):
		return nil, fmt.Errorf("may not listen on port %d: ports below 1024 belong to the system; try -p 5000 (%w)", cfg.Port, err)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return nil, fmt.Errorf("%s is not an address of this machine; try -H 127.0.0.1, or -H 0.0.0.0 for all addresses (%w)", cfg.Host, err)
	}
	return nil, fmt.Errorf("cannot listen on host %q, port %d: %w", cfg.Host, cfg.Port, err)
}

// busy knows Windows's number for an address in use too, which Go's portable
// constant does not stand for.
func busy(err error) bool {
	const wsaEADDRINUSE = syscall.Errno(10048)
	return errors.Is(err, syscall.EADDRINUSE) || errors.Is(err, wsaEADDRINUSE)
}

// freePort returns the first port after the configured one that is free now.
func freePort(cfg *Config) int {
	next := min(int(cfg.Port)+1, 65535)
	for port := next; port < min(next+100, 65536); port++ {
		if ln, err := net.Listen("tcp", net.JoinHostPort(cfg.Host, strconv.Itoa(port))); err == nil {
			ln.Close()
			return port
		}
	}
	return next
}

// loopback says whether only this machine can reach the listener.
func loopback(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}

// hosts are the names under which the node may be addressed besides loopback
// and the address that a connection came to, which the API knows by itself.
func hosts(cfg *Config) []string {
	names := append([]string{cfg.Host}, cfg.AllowHosts...)
	if name, err := os.Hostname(); err == nil {
		names = append(names, name, name+".local")
	}
	return names
}
