package api

import (
	"context"
	"math"
	"net/http"
	"reflect"
	"strconv"
	"time"
	"unicode/utf8"

	"cairn/api/client"
	"cairn/p2p"
)

const tagPeers = "Peers"

// registerPeers registers the calls about the peer-to-peer network.
func (d *docs) registerPeers() {
	s := d.s
	endpoint(d, get("/v1/peers", "list-peers", tagPeers, "How peers reach the node, and which are connected"), s.listPeers)
	add := needs(post("/v1/peers", "add-peer", tagPeers, "Connect to a peer, and stay connected"), client.ScopeOperate)
	add = d.answers(add, http.StatusCreated, mediaJSON, reflect.TypeFor[client.PeerAddress]())
	call(d, d.takes(add, map[string]reflect.Type{mediaJSON: reflect.TypeFor[client.PeerAddress]()}), s.addPeer)
	remove := needs(get("/v1/peers/{id}", "remove-peer", tagPeers, "End the connection to a peer"), client.ScopeOperate)
	remove.Method = http.MethodDelete
	call(d, d.answers(remove, http.StatusNoContent, "", nil), s.removePeer)

	endpoint(d, needs(get("/v1/bans", "list-bans", tagPeers, "The peers that are not talked to"), client.ScopeOperate), s.bans)
	ban := needs(post("/v1/bans", "ban-peer", tagPeers, "End the connection to a peer, and have none for a time"), client.ScopeOperate)
	ban = d.answers(ban, http.StatusCreated, mediaJSON, reflect.TypeFor[client.BanData]())
	call(d, d.takes(ban, map[string]reflect.Type{mediaJSON: reflect.TypeFor[client.NewBan]()}), s.ban)
	unban := needs(get("/v1/bans/{id}", "unban-peer", tagPeers, "Lift a ban"), client.ScopeOperate)
	unban.Method = http.MethodDelete
	call(d, d.answers(unban, http.StatusNoContent, "", nil), s.unban)

	endpoint(d, get("/v1/invite", "get-invite", tagPeers, "The text with which others join the network"), s.invite)
}

// connected returns the peers; none where there is no network.
func (s *server) connected() []p2p.Peer {
	if s.peers == nil {
		return nil
	}
	return s.peers.Peers()
}

// direction tells who called.
func direction(p p2p.Peer) string {
	if p.Inbound {
		return client.DirectionIn
	}
	return client.DirectionOut
}

// takesPart refuses what needs the network where there is none.
func (s *server) takesPart() error {
	if s.peers == nil {
		return refuse(client.ErrPeersOff, "this node has no peers; start it with --p2p")
	}
	return nil
}

func (s *server) listPeers(context.Context, *none) (client.PeerList, error) {
	if err := s.takesPart(); err != nil {
		return client.PeerList{}, err
	}
	self := s.peers.Self()
	list := client.PeerList{ID: self.ID, Addresses: append([]string{}, self.Addresses...), Peers: []client.PeerData{}}
	for _, p := range s.connected() {
		list.Peers = append(list.Peers, client.PeerData{
			ID: p.ID, Address: p.Address, Direction: direction(p), Agent: p.Agent, Height: p.Height, Work: p.Work.String(), Score: p.Score,
			Latency: math.Round(p.Latency.Seconds()*1e5) / 100, Connected: p.Connected.Unix(),
		})
	}
	return list, nil
}

func (s *server) addPeer(w *response, r *http.Request, _ *none) error {
	if err := s.takesPart(); err != nil {
		return err
	}
	o, err := readObject(w, r)
	if err != nil {
		return err
	}
	if err := only(o, "address"); err != nil {
		return err
	}
	address, err := textOf(o, "address")
	if err != nil {
		return err
	}
	if err := s.peers.Connect(r.Context(), address); err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, client.PeerAddress{Address: address})
}

type peerParam struct {
	ID string `path:"id" doc:"ID of a peer" maxLength:"128"`
}

func (s *server) removePeer(w *response, _ *http.Request, in *peerParam) error {
	if err := s.takesPart(); err != nil {
		return err
	}
	return removed(w, in.ID, "is not connected; GET /v1/peers lists those that are", s.peers.Disconnect)
}

// removed answers a call that takes something away from a peer.
func removed(w *response, id, missing string, take func(id string) (bool, error)) error {
	found, err := take(id)
	if err != nil {
		return err
	}
	if !found {
		return refuse(client.ErrNotFound, "the peer %s %s", quote(id), missing)
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (s *server) bans(context.Context, *none) (client.Page[client.BanData], error) {
	page := client.Page[client.BanData]{Items: []client.BanData{}}
	if err := s.takesPart(); err != nil {
		return page, err
	}
	for _, b := range s.peers.Bans() {
		page.Items = append(page.Items, client.BanData{ID: b.ID, Reason: b.Reason, Until: b.Until.Unix()})
	}
	return page, nil
}

// maxReason is the most characters of the reason for a ban.
const maxReason = 200

func (s *server) ban(w *response, r *http.Request, _ *none) error {
	if err := s.takesPart(); err != nil {
		return err
	}
	o, err := readObject(w, r)
	if err != nil {
		return err
	}
	if err := only(o, "id", "reason", "seconds"); err != nil {
		return err
	}
	id, err := textOf(o, "id")
	if err != nil {
		return err
	}
	reason := ""
	if _, given := o.Values["reason"]; given {
		if reason, err = textOf(o, "reason"); err != nil {
			return err
		}
	}
	if utf8.RuneCountInString(reason) > maxReason {
		return invalid("reason has more than %d characters; say it shorter", maxReason)
	}
	number, err := numberOf(o, "seconds")
	if err != nil {
		return err
	}
	seconds, err := strconv.ParseUint(number, 10, 32)
	if err != nil || seconds == 0 {
		return invalid("seconds is %s; it should be a whole number from 1 to %d", quote(number), uint32(math.MaxUint32))
	}
	long := time.Duration(seconds) * time.Second
	if err := s.peers.Ban(id, reason, long); err != nil {
		return err
	}
	return writeJSON(w, http.StatusCreated, client.BanData{ID: id, Reason: reason, Until: time.Now().Add(long).Unix()})
}

func (s *server) unban(w *response, _ *http.Request, in *peerParam) error {
	if err := s.takesPart(); err != nil {
		return err
	}
	return removed(w, in.ID, "is not banned; GET /v1/bans lists those that are", s.peers.Unban)
}

func (s *server) invite(context.Context, *none) (client.InviteData, error) {
	if err := s.takesPart(); err != nil {
		return client.InviteData{}, err
	}
	return client.InviteData{Invite: s.peers.Invite().String(), Closed: s.closed}, nil
}
