package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	cfg "github.com/cometbft/cometbft/config"
	cmtjson "github.com/cometbft/cometbft/libs/json"
	"github.com/cometbft/cometbft/libs/log"
	"github.com/cometbft/cometbft/libs/pubsub"
	"github.com/cometbft/cometbft/libs/pubsub/query"
	"github.com/cometbft/cometbft/libs/pubsub/query/syntax"
	rpctypes "github.com/cometbft/cometbft/rpc/jsonrpc/types"
	"github.com/cometbft/cometbft/types"
)

const (
	// Events that wait to be compared with the queries. The bus drops a subscriber for whom more wait, and never waits itself.
	backlog    = 8192
	subscriber = "websocket hub"
)

// hub hands CometBFT's events to the subscribers of all WebSocket connections.
//
// CometBFT's own way has a block wait until each of its transactions has been compared with each query, and writes each
// event as JSON once per subscriber. Here a block hands its events over and goes on, a query looks only at the values
// that it names, and an event is written as JSON once.
type hub struct {
	config cfg.RPCConfig
	logger log.Logger
	// Bytes that may wait for a subscription, beyond the events that the configuration allows: those of a large block.
	mostWaiting int

	mu      sync.Mutex
	queries map[string]*liveQuery
	clients map[*connection]map[string]*subscription
}

// liveQuery is a query with its subscribers.
type liveQuery struct {
	*query.Query
	// What it cannot match without: values that its conditions ask for by equality.
	needs []need
	// There are no other conditions.
	simple      bool
	subscribers map[*subscription]struct{}
}

type need struct{ tag, value string }

// subscription is one of a client's, by the text of its query.
type subscription struct {
	client *connection
	query  string
	// The request that its events answer, without its parameters.
	request rpctypes.RPCRequest
	// An answer up to the event.
	head []byte
	over atomic.Bool
	// What waits for it: the client's to guard.
	events, bytes int
}

// newHub follows the bus until it stops.
func newHub(bus *types.EventBus, config cfg.RPCConfig, logger log.Logger) (*hub, error) {
	h := &hub{
		config: config, logger: logger, mostWaiting: 32 << 20,
		queries: make(map[string]*liveQuery),
		clients: make(map[*connection]map[string]*subscription),
	}
	all, err := bus.Subscribe(context.Background(), subscriber, query.All, backlog)
	if err != nil {
		return nil, err
	}
	go func() {
		for err == nil {
			h.follow(all)
			if all.Err() == nil {
				h.cancelAll("CometBFT exited")
				return
			}
			// More waited than the bus holds. Who has missed events is told.
			h.cancelAll(all.Err().Error())
			_ = bus.Unsubscribe(context.Background(), subscriber, query.All)
			all, err = bus.Subscribe(context.Background(), subscriber, query.All, backlog)
		}
	}()
	return h, nil
}

// follow delivers until the bus ends the subscription.
func (h *hub) follow(all types.Subscription) {
	for {
		select {
		case message := <-all.Out():
			h.deliver(message)
		case <-all.Canceled():
			return
		}
	}
}

// subscribe adds a subscription of the client, whose events answer the request; its errors are CometBFT's.
func (h *hub) subscribe(client *connection, text string, request rpctypes.RPCRequest) error {
	q, err := parseQuery(text)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	mine := h.clients[client]
	switch _, twice := mine[q.String()]; {
	case len(h.clients) >= h.config.MaxSubscriptionClients && mine == nil:
		return fmt.Errorf("max_subscription_clients %d reached", h.config.MaxSubscriptionClients)
	case len(mine) >= h.config.MaxSubscriptionsPerClient:
		return fmt.Errorf("max_subscriptions_per_client %d reached", h.config.MaxSubscriptionsPerClient)
	case twice:
		return pubsub.ErrAlreadySubscribed
	}
	head, err := answerHead(request, text)
	if err != nil {
		return err
	}
	s := &subscription{client: client, query: q.String(), request: rpctypes.RPCRequest{ID: request.ID}, head: head}
	if mine == nil {
		mine = make(map[string]*subscription)
		h.clients[client] = mine
	}
	mine[s.query] = s
	if h.queries[s.query] == nil {
		h.queries[s.query] = newLiveQuery(q)
	}
	h.queries[s.query].subscribers[s] = struct{}{}
	return nil
}

// unsubscribe ends one of the client's subscriptions.
func (h *hub) unsubscribe(client *connection, text string) error {
	q, err := parseQuery(text)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.clients[client][q.String()]
	if s == nil {
		return pubsub.ErrSubscriptionNotFound
	}
	h.remove(s)
	return nil
}

// unsubscribeAll ends all of the client's subscriptions.
func (h *hub) unsubscribeAll(client *connection) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.clients[client]) == 0 {
		return pubsub.ErrSubscriptionNotFound
	}
	for _, s := range h.clients[client] {
		h.remove(s)
	}
	return nil
}

// remove needs the lock; false if the subscription had ended before.
func (h *hub) remove(s *subscription) bool {
	if h.clients[s.client][s.query] != s {
		return false
	}
	s.over.Store(true)
	if delete(h.clients[s.client], s.query); len(h.clients[s.client]) == 0 {
		delete(h.clients, s.client)
	}
	subscribers := h.queries[s.query].subscribers
	if delete(subscribers, s); len(subscribers) == 0 {
		delete(h.queries, s.query)
	}
	return true
}

// cancel ends a subscription that the client did not end, and tells it why as CometBFT does. It needs the lock.
func (h *hub) cancel(s *subscription, reason string) {
	if h.remove(s) {
		s.client.notify(rpctypes.RPCServerError(s.request.ID, fmt.Errorf("subscription was canceled (reason: %s)", reason)))
	}
}

func (h *hub) cancelAll(reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, mine := range h.clients {
		for _, s := range mine {
			h.cancel(s, reason)
		}
	}
}

// deliver gives an event to those who asked for it, and waits for nobody.
func (h *hub) deliver(message pubsub.Message) {
	h.mu.Lock()
	said := values{all: message.Events()}
	var receivers []*subscription
	for _, q := range h.queries {
		if q.matches(&said) {
			for s := range q.subscribers {
				receivers = append(receivers, s)
			}
		}
	}
	h.mu.Unlock()
	if len(receivers) == 0 {
		return
	}
	tail, err := answerTail(message)
	if err != nil {
		h.logger.Error("an event cannot be written as JSON", "err", err)
		return
	}
	for _, s := range receivers {
		if s.client.send(s, tail) {
			continue
		}
		h.logger.Info("Can't write response (slow client)", "to", s.client.remote, "subscriptionID", s.request.ID)
		h.mu.Lock()
		h.cancel(s, pubsub.ErrOutOfCapacity.Error())
		h.mu.Unlock()
		if h.config.CloseOnSlowClient {
			s.client.close()
		}
	}
}

func parseQuery(text string) (*query.Query, error) {
	const longest = 512 // as CometBFT's
	if len(text) > longest {
		return nil, errors.New("maximum query length exceeded")
	}
	q, err := query.New(text)
	if err != nil {
		return nil, fmt.Errorf("failed to parse query: %w", err)
	}
	return q, nil
}

func newLiveQuery(q *query.Query) *liveQuery {
	live := &liveQuery{Query: q, subscribers: make(map[*subscription]struct{})}
	for _, c := range q.Syntax() {
		if c.Op == syntax.TEq && c.Arg.Type == syntax.TString && c.Arg.Value() != "" {
			live.needs = append(live.needs, need{c.Tag, c.Arg.Value()})
		}
	}
	live.simple = len(live.needs) == len(q.Syntax())
	return live
}

// values of an event are what queries look at.
type values struct {
	// By `type.attribute`.
	all map[string][]string
	// A name of each type; made when a query asks.
	types map[string]string
}

// hasType returns a name that belongs to the type.
func (v *values) hasType(kind string) (name string, found bool) {
	if v.types == nil {
		v.types = make(map[string]string)
		for name := range v.all {
			if dot := strings.LastIndexByte(name, '.'); dot >= 0 {
				v.types[name[:dot]] = name
			}
		}
	}
	name, found = v.types[kind]
	return name, found
}

// matches says what query.Query.Matches does, which goes through all values of the event for each query.
func (q *liveQuery) matches(v *values) bool {
	for _, n := range q.needs {
		if !slices.Contains(v.all[n.tag], n.value) {
			return false
		}
	}
	if q.simple {
		return true
	}
	named := make(map[string][]string)
	for _, c := range q.Syntax() {
		if own, found := v.all[c.Tag]; found {
			named[c.Tag] = own
		}
		if name, found := v.hasType(c.Tag); found {
			named[name] = v.all[name]
		}
	}
	match, err := q.Query.Matches(named)
	return match && err == nil
}

// answerHead and answerTail make an answer with an event, as CometBFT writes it.
func answerHead(request rpctypes.RPCRequest, query string) ([]byte, error) {
	id, err := json.Marshal(request.ID)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(query)
	if err != nil {
		return nil, err
	}
	return fmt.Appendf(nil, `{"jsonrpc":"2.0","id":%s,"result":{"query":%s,"data":`, id, text), nil
}

func answerTail(message pubsub.Message) ([]byte, error) {
	all, err := cmtjson.Marshal(struct {
		Data   any                 `json:"data"`
		Events map[string][]string `json:"events"`
	}{message.Data(), message.Events()})
	if err != nil {
		return nil, err
	}
	return append(bytes.TrimPrefix(all, []byte(`{"data":`)), '}'), nil
}
