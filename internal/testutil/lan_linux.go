package testutil

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// LAN is hosts on one machine, each in a network namespace with an address of its
// own, and a switch between them that delays, loses and holds back packets. The
// switch is this process: it carries the packets of the hosts' TUN devices, so that
// it needs neither bridge nor netem of the kernel, and can be cut in two in no time.
type LAN struct {
	t     testing.TB
	tag   string // in the names of its namespaces
	mu    sync.RWMutex
	hosts map[[4]byte]*Host
	side  map[*Host]int // of the cut; all 0 where there is none
	line  Line

	Sent, Lost atomic.Int64 // packets
	work       sync.WaitGroup
}

// Line is how the way between any two hosts is.
type Line struct {
	Delay time.Duration // one way
	Loss  float64       // 0 to 1
	Rate  int           // bits a second, of each host's sending; 0: no limit
}

// Host is one of the hosts. Its HTTP client runs in its namespace, so that
// http://127.0.0.1 is the host itself.
type Host struct {
	IP   string
	HTTP *http.Client

	lan   *LAN
	space string
	tun   *os.File
	queue chan packet
	free  time.Time // when what was sent has left, by the rate; of the reader alone
}

type packet struct {
	due  time.Time
	data []byte
}

// NewLAN returns a LAN without hosts. The test is passed over where the system does
// not let it have any.
func NewLAN(t testing.TB) *LAN {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil || os.Geteuid() != 0 {
		t.Skip("network namespaces need root and the command ip (Debian's iproute2)")
	}
	l := &LAN{t: t, tag: fmt.Sprintf("cairn%d", os.Getpid()), hosts: make(map[[4]byte]*Host), side: make(map[*Host]int)}
	t.Cleanup(l.close)
	return l
}

func (l *LAN) close() {
	l.mu.Lock()
	for _, h := range l.hosts {
		h.tun.Close()
		close(h.queue)
		h.HTTP.CloseIdleConnections()
	}
	hosts := l.hosts
	l.hosts = nil
	l.mu.Unlock()
	l.work.Wait()
	for _, h := range hosts {
		if out, err := exec.Command("ip", "netns", "del", h.space).CombinedOutput(); err != nil {
			l.t.Errorf("ip netns del: %v: %s", err, out)
		}
	}
}

// Host adds a host.
func (l *LAN) Host() *Host {
	l.t.Helper()
	number := len(l.hosts) + 1
	h := &Host{
		IP:    fmt.Sprintf("10.77.0.%d", number),
		lan:   l,
		space: fmt.Sprintf("%s-%d", l.tag, number),
		queue: make(chan packet, 4096),
	}
	must(l.t, ip("netns", "add", h.space))
	must(l.t, h.within(func() (err error) {
		h.tun, err = openTUN("lan0")
		return err
	}))
	for _, command := range []string{
		"link set lo up",
		"addr add " + h.IP + "/24 dev lan0",
		"link set lan0 up",
		"route add 224.0.0.0/4 dev lan0", // multicast DNS
	} {
		must(l.t, ip(append([]string{"-n", h.space}, strings.Fields(command)...)...))
	}
	h.HTTP = &http.Client{Transport: &http.Transport{DialContext: h.dial}}
	l.mu.Lock()
	l.hosts[[4]byte{10, 77, 0, byte(number)}] = h
	l.mu.Unlock()
	l.work.Go(h.read)
	l.work.Go(h.write)
	return h
}

func ip(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

// within runs do in the host's namespace, on a thread that ends with it.
func (h *Host) within(do func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread must not be used again
		space, err := os.Open("/run/netns/" + h.space)
		if err == nil {
			err = unix.Setns(int(space.Fd()), unix.CLONE_NEWNET)
			space.Close()
		}
		if err == nil {
			err = do()
		}
		done <- err
	}()
	return <-done
}

func (h *Host) dial(ctx context.Context, network, address string) (c net.Conn, err error) {
	err = h.within(func() (err error) {
		var d net.Dialer
		c, err = d.DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// openTUN makes a TUN device in the namespace of its thread.
func openTUN(name string) (*os.File, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	request, err := unix.NewIfreq(name)
	if err == nil {
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		err = unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("making a TUN device: %w", err)
	}
	return os.NewFile(uintptr(fd), "tun"), nil
}

// read takes what the host sends, and puts it into the queues of those it is for.
func (h *Host) read() {
	buffer := make([]byte, 64<<10)
	for {
		n, err := h.tun.Read(buffer)
		if errors.Is(err, os.ErrClosed) {
			return
		}
		if err != nil || n < 20 || buffer[0]>>4 != 4 {
			continue
		}
		h.send(append([]byte(nil), buffer[:n]...))
	}
}

func (h *Host) send(data []byte) {
	l := h.lan
	l.mu.RLock()
	defer l.mu.RUnlock()
	now := time.Now()
	if h.free.Before(now) {
		h.free = now
	}
	if l.line.Rate > 0 {
		h.free = h.free.Add(time.Duration(float64(len(data)*8) / float64(l.line.Rate) * float64(time.Second)))
	}
	l.Sent.Add(1)
	for _, to := range l.receivers(h, [4]byte(data[16:20])) {
		if l.side[to] != l.side[h] || rand.Float64() < l.line.Loss || h.free.Sub(now) > time.Second {
			l.Lost.Add(1)
			continue
		}
		select {
		case to.queue <- packet{h.free.Add(l.line.Delay), data}:
		default: // as a router drops what its queue has no room for
			l.Lost.Add(1)
		}
	}
}

// receivers are those that a packet is for. The lock is held.
func (l *LAN) receivers(from *Host, destination [4]byte) (all []*Host) {
	if to := l.hosts[destination]; to != nil {
		return []*Host{to}
	}
	if destination[0]>>4 == 0xe { // multicast
		for _, to := range l.hosts {
			if to != from {
				all = append(all, to)
			}
		}
	}
	return all
}

// write gives the host what is in its queue, when it is due.
func (h *Host) write() {
	for p := range h.queue {
		time.Sleep(time.Until(p.due))
		_, _ = h.tun.Write(p.data) // fails while the host ends
	}
}

// Shape makes all ways like this.
func (l *LAN) Shape(line Line) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.line = line
}

// Cut lets these hosts reach only each other, and the others only each other.
func (l *LAN) Cut(hosts ...*Host) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, h := range hosts {
		l.side[h] = 1
	}
}

// Heal ends the cut.
func (l *LAN) Heal() {
	l.mu.Lock()
	defer l.mu.Unlock()
	clear(l.side)
}

// Launch starts bin on the host, on port 5000, and waits until it answers. The node
// ends with the test.
func (h *Host) Launch(bin string, env []string, dir string, args ...string) *Process {
	h.lan.t.Helper()
	command := append([]string{"netns", "exec", h.space, bin}, args...)
	p, err := launch(exec.Command("ip", command...), env, dir, "http://127.0.0.1:5000", h.HTTP)
	must(h.lan.t, err)
	h.lan.t.Cleanup(p.Kill)
	return p
}
