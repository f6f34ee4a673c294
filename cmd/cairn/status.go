package main

import (
	"fmt"
	"io"
	"net"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"cairn/api/client"
)

// statusPatience is how long `cairn status` and its like wait for a node.
const statusPatience = 10 * time.Second

func (a *app) statusCommand() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use:     "status [URL]",
		Short:   "Say how a running node is",
		GroupID: groupNode,
		Long: `Asks the node at URL how it is; without URL, the one on this machine that the
settings name (127.0.0.1, port 5000, unless they say otherwise).`,
		Example: `  cairn status
  cairn status -p 5001
  cairn status http://192.168.1.7:5000 --json`,
		Args: cobra.MaximumNArgs(1),
	}
	s := a.useSettings(cmd, "host", "port")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON, for programs")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, url, err := s.at(args)
		if err != nil {
			return err
		}
		status, err := c.Status(cmd.Context())
		if err != nil {
			return unanswered(url, "status", err)
		}
		if asJSON {
			return a.printJSON(status)
		}
		return printStatus(a.stdout, url, status)
	}
	return cmd
}

// url is where a program on this machine finds the node that has these settings.
func (s *settings) url() string {
	host := s.Host
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return "http://" + net.JoinHostPort(host, strconv.Itoa(int(s.Port)))
}

// at returns a client of the node at the URL among arguments, or of that of the
// settings, and the URL.
func (s *settings) at(args []string) (*client.Client, string, error) {
	url := s.url()
	if len(args) > 0 {
		url = args[0]
	}
	c, err := client.New(url, client.Options{Patience: statusPatience})
	if err != nil {
		return nil, url, &codeError{exitUsage, err}
	}
	return c, url, nil
}

// unanswered adds to an error of a call what to do where no node answers.
func unanswered(url, command string, err error) error {
	if unreachable(err) {
		return fmt.Errorf("no node answers at %s; start one with `cairn`, or say where it is: cairn %s URL (%w)", url, command, err)
	}
	return err
}

func printStatus(w io.Writer, url string, s client.Status) error {
	age := max(0, time.Now().Unix()-int64(s.Time))
	reward := s.NodeAddress
	if reward == "" {
		reward = "nobody (it cannot mine without --reward-to)"
	}
	_, err := fmt.Fprintf(w, `%s runs Cairn %s on the network %s
  height      %d
  tip         %s, %s ago
  work        %s, %s
  chain       %s
  waiting     %d transfers, %d bytes
  neighbours  %d%s
  peers       %d
  sync        %s
  disk        %s
  rewards     %s
  up for      %s
`, url, s.Version, s.Network, s.Height, s.Tip, span(uint64(age)), s.Work, hashRate(s.HashRate), s.ChainID, s.Pool.Transfers, s.Pool.Bytes,
		s.Neighbours, clock(s.Clock), s.Peers, syncing(s), disk(s.Disk), reward, span(uint64(s.Uptime)))
	return err
}

// hashRate writes a number of hashes a second with a unit.
func hashRate(rate float64) string {
	for _, unit := range []string{"H/s", "kH/s", "MH/s", "GH/s", "TH/s", "PH/s"} {
		if rate < 1000 {
			return fmt.Sprintf("%.3g %s", rate, unit)
		}
		rate /= 1000
	}
	return fmt.Sprintf("%.3g EH/s", rate)
}

func clock(c *client.ClockStatus) string {
	if c == nil {
		return ""
	}
	return fmt.Sprintf(", whose clocks are %+.0f s from this one", c.Offset)
}

func syncing(s client.Status) string {
	if !s.Sync.Running {
		return "nothing to fetch"
	}
	return fmt.Sprintf("at %d of %d", s.Height, s.Sync.Height)
}

func disk(d client.DiskStatus) string {
	text := fmt.Sprintf("%.1f MB used", float64(d.Used)/1e6)
	if d.Free >= 0 {
		text += fmt.Sprintf(", %.1f GB free", float64(d.Free)/1e9)
	}
	return text
}
