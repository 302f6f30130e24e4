-- The two things that write a namespace: `commit` one change, and `init`.
--
-- Redis runs a script as a whole, and does not undo it. So each verb first reads and refuses, then makes the one write
-- that can still fail (XADD, which knows the order of revisions), then the others, and publishes last: who hears of a
-- change finds it.
--
-- Documents are bytes, and pass through untouched: cjson would turn [] into {} and 12345678901234567 into
-- 1.2345678901235e+16. Numbers are doubles here, exact below 2^53: revisions are kept below 10^15 (keys.py), written by
-- `decimal` because tostring(1e15) is "1e+15", and what may be larger is compared as text.
--
-- Names of keys and fields: keys.py and wire.py, which read what is written here.
-- Answers are two texts: which (done, conflict, uninitialised, newer, damaged, denied, log, forgotten) and a detail;
-- with done it is the log entry, packed, because redis-py takes longer for thirty texts than for all the rest.

local META = {'schema', 'ready', 'epoch', 'rev', 'nonce', 'count', 'start', 'base', 'replaces'}

local function decimal(number)
  return string.format('%.0f', number)
end

local function netstring(text)
  return #text .. ':' .. text
end

-- Undoes netstring after netstring; nil if the text is something else.
local function unpacked(text)
  local parts, at = {}, 1
  while at <= #text do
    local _, colon, size = string.find(text, '^(%d+):', at)
    if not colon or #size > 9 or colon + tonumber(size) > #text then
      return nil
    end
    at = colon + 1 + tonumber(size)
    parts[#parts + 1] = string.sub(text, colon + 1, at - 1)
  end
  return parts
end

local function packed(parts)
  local texts = {}
  for i, part in ipairs(parts) do
    texts[i] = netstring(part)
  end
  return table.concat(texts)
end

-- The number behind a text that should be a revision, nil for anything else.
local function revision_of(text)
  if text and #text <= 15 and string.find(text, '^%d+$') then
    return tonumber(text)
  end
  return nil
end

-- The larger of two whole numbers of any length, as texts without leading zeros.
local function larger(a, b)
  if #a ~= #b then
    return #a > #b and a or b
  end
  return a > b and a or b
end

local function read_meta()
  local values, meta = redis.call('HMGET', KEYS[1], unpack(META)), {}
  for i, name in ipairs(META) do
    meta[name] = values[i]
  end
  return meta
end

-- What stands against reading this namespace at all, nil if nothing does.
local function refusal(meta, schema)
  if meta.schema and not revision_of(meta.schema) then
    return {'damaged', 'meta: schema'}
  end
  if meta.schema and tonumber(meta.schema) > tonumber(schema) then
    return {'newer', meta.schema}
  end
  return nil
end

-- What stands against these commands, each a list of words, nil if the caller may run them all. Asked before the first
-- write, because a right that is missing half-way would leave half a change.
local function denial(commands)
  for _, words in ipairs(commands) do
    if redis.acl_check_cmd and not redis.acl_check_cmd(unpack(words)) then
      return {'denied', words[1] .. ' ' .. words[2]}
    end
  end
  return nil
end

-- The fields of the log entry that made a revision with this nonce, nil if the stream does not hold it.
local function entry_of(stream, revision, nonce)
  local found = redis.call('XRANGE', stream, revision .. '-0', revision .. '-0')[1]
  if not found then
    return nil
  end
  local fields = found[2]
  for i = 1, #fields, 2 do
    if fields[i] == 'nonce' and fields[i + 1] == nonce then
      return fields
    end
  end
  return nil
end

-- commit ---------------------------------------------------------------------------------------------------------------
--
-- KEYS: meta, documents of this kind, offs, log, history of this document, request
-- ARGV: 'commit', the names in COMMIT one after the other, then for each marked variant:
--       its name, off ('1' or ''), armed ('now', 'never' or ''), passed

local COMMIT = {
  'schema', 'channel', 'log_limit', 'history_limit', 'request_ms', 'message_limit', 'expected', 'nonce',
  'kind', 'key', 'live', 'document', 'action', 'actor', 'reason', 'at', 'request'
}

local function read_arguments()
  local asked = {}
  for i, name in ipairs(COMMIT) do
    asked[name] = ARGV[i + 1]
  end
  return asked
end

-- What a repeated request made the first time, nil if it made nothing that still counts.
local function first_answer(meta)
  local rev, nonce = string.match(redis.call('GET', KEYS[6]) or '', '^(%d+):(.+)$')
  if not rev then
    return nil
  end
  local logged = redis.call('XRANGE', KEYS[4], rev .. '-0', rev .. '-0')[1]
  local fields = entry_of(KEYS[4], rev, nonce)
  if tonumber(meta.rev) < tonumber(rev) or (logged and not fields) then
    return nil -- a fail-over lost that change; another has its revision, or will have it
  end
  fields = fields or entry_of(KEYS[5], rev, nonce)
  if not fields then
    return {'forgotten', rev}
  end
  return {'done', packed(fields)}
end

-- All generations of a flag after the commit, packed; nil if what is held cannot be read. The sums of `Marks.apply`.
local function generations_after(held, revision)
  local parts, place = unpacked(held), {}
  if not parts or #parts % 3 ~= 0 then
    return nil
  end
  for i = 1, #parts, 3 do
    place[parts[i]] = i
  end
  for i = #COMMIT + 2, #ARGV, 4 do
    local variant, off, armed, passed = ARGV[i], ARGV[i + 1], ARGV[i + 2], ARGV[i + 3]
    local here = place[variant] or #parts + 1
    if not place[variant] then
      place[variant], parts[here], parts[here + 1], parts[here + 2] = here, variant, '0', '0'
    end
    parts[here + 1] = off == '1' and decimal(2 * revision) or larger(parts[here + 1], passed)
    if armed ~= '' then
      parts[here + 2] = armed == 'now' and decimal(revision) or '0'
    end
  end
  return packed(parts)
end

-- Adds to a document's own stream. A fail-over can leave it ahead of the revision, with versions of the lost life:
-- those go, and the older ones are written again, because a stream never takes a lower id.
local function remember(id, entry, limit)
  local added = redis.pcall('XADD', KEYS[5], 'MAXLEN', limit, id, unpack(entry))
  if type(added) == 'table' and added.err then
    local kept = redis.call('XRANGE', KEYS[5], '-', '(' .. id)
    redis.call('DEL', KEYS[5])
    for _, old in ipairs(kept) do
      redis.call('XADD', KEYS[5], old[1], unpack(old[2]))
    end
    redis.call('XADD', KEYS[5], 'MAXLEN', limit, id, unpack(entry))
  end
end

local function publish(asked, meta, rev, body)
  local message = 'gf1' .. body
  if #message > tonumber(asked.message_limit) then
    message = 'gf1' .. packed({'epoch', meta.epoch, 'rev', rev, 'nonce', asked.nonce, 'gap', 'too large for a message'})
  end
  redis.call('PUBLISH', asked.channel, message)
end

-- Everything that has to be so before the first write; returns an answer instead if it is not.
local function checked(asked, meta)
  if not (revision_of(meta.rev) and revision_of(meta.count) and meta.nonce) then
    return {'damaged', 'meta'}
  end
  local answer = first_answer(meta)
  if answer then
    return answer
  end
  local held = redis.call('HGET', KEYS[2], asked.key)
  -- A value without a revision was put there by hand: it counts as revision 0, so that it can be edited away.
  local was, before = string.match(held or '', '^(%d+):(.*)$')
  was = revision_of(was)
  was, before = decimal(was or 0), was and before or ''
  -- Before the conflict: `doctor` tries its rights with an edit that can only conflict.
  local denied = denial({
    {'XADD', KEYS[4], '*', 'f', 'v'}, {'XADD', KEYS[5], '*', 'f', 'v'}, {'DEL', KEYS[5]},
    {'HSET', KEYS[2], 'f', 'v'}, {'HDEL', KEYS[2], 'f'}, {'HSET', KEYS[1], 'f', 'v'}, {'HSET', KEYS[3], 'f', 'v'},
    {'SET', KEYS[6], 'v'}, {'PUBLISH', asked.channel, 'v'}
  })
  if denied then
    return denied
  end
  -- Nothing is there to be set. It is asked for before the conflict, because a replica, a server that is full, or one
  -- that lacks replicas refuses it: they must not answer as if a better edit could be made here.
  redis.call('SET', KEYS[6], '', 'XX', 'PX', 1)
  if was ~= asked.expected or not (held or asked.live == '1') then
    return {'conflict', was}
  end
  if meta.rev ~= meta.start and not entry_of(KEYS[4], meta.rev, meta.nonce) then
    return {'log', 'it does not hold revision ' .. meta.rev .. ' as it was made'}
  end
  if #decimal(meta.rev + 1) > 15 then
    return {'damaged', 'meta'}
  end
  redis.call('XLEN', KEYS[5]) -- raises if this is no stream, while nothing is written
  return nil, was, before
end

local function write(asked, meta, rev, fields, entry)
  local id, count = rev .. '-0', tonumber(meta.count)
  local added = redis.pcall('XADD', KEYS[4], 'MAXLEN', '~', asked.log_limit, id, unpack(entry))
  if type(added) == 'table' and added.err then
    local ahead = string.find(added.err, 'equal or smaller', 1, true)
    return ahead and {'log', 'it is ahead of revision ' .. meta.rev} or added
  end
  remember(id, entry, asked.history_limit)
  if asked.live == '1' then
    count = count + redis.call('HSET', KEYS[2], asked.key, rev .. ':' .. asked.document)
  else
    count = count - redis.call('HDEL', KEYS[2], asked.key)
  end
  redis.call('HSET', KEYS[1], 'rev', rev, 'nonce', asked.nonce, 'count', decimal(count))
  redis.call('SET', KEYS[6], rev .. ':' .. asked.nonce, 'PX', asked.request_ms)
  return nil
end

local function commit()
  local asked, meta = read_arguments(), read_meta()
  local refused = refusal(meta, asked.schema)
  if refused then
    return refused
  end
  if not (meta.schema and meta.ready and meta.epoch) then
    return {'uninitialised', ''}
  end
  local answer, was, before = checked(asked, meta)
  if answer then
    return answer
  end
  local revision, generations = meta.rev + 1, ''
  local rev = decimal(revision)
  if asked.kind == 'flag' then
    generations = generations_after(redis.call('HGET', KEYS[3], asked.key) or '', revision)
    if not generations then
      return {'damaged', 'offs'}
    end
  end
  local fields = {
    'epoch', meta.epoch, 'rev', rev, 'nonce', asked.nonce, 'prev', meta.nonce, 'kind', asked.kind, 'key', asked.key,
    'live', asked.live, 'doc', asked.document, 'gens', generations, 'action', asked.action, 'actor', asked.actor,
    'reason', asked.reason, 'at', asked.at, 'request', asked.request
  }
  local entry, extra, body = {unpack(fields)}, {'was', was, 'before', before}, packed(fields)
  for _, text in ipairs(extra) do
    entry[#entry + 1] = text
  end
  local failed = write(asked, meta, rev, fields, entry)
  if failed then
    return failed
  end
  if generations ~= '' then
    redis.call('HSET', KEYS[3], asked.key, generations)
  end
  publish(asked, meta, rev, body)
  return {'done', body .. packed(extra)}
end

-- init -----------------------------------------------------------------------------------------------------------------
--
-- KEYS: meta, flags, segments, offs, log
-- ARGV: 'init', schema, channel, force ('1' or ''), epoch, nonce, top, then the epochs that the new one replaces
--
-- TOP is the highest revision that documents and generations name, found by the caller slice by slice: looking through
-- ten thousand of them here would stop the server for 35 ms. Whatever is committed meanwhile makes the revision in meta.

-- The highest id that the log ever had, and the revision after which it has no hole.
local function log_bounds()
  if redis.call('EXISTS', KEYS[5]) == 0 then
    return 0, nil
  end
  local info, top = redis.call('XINFO', 'STREAM', KEYS[5]), 0
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      top = revision_of(string.match(info[i + 1], '^(%d+)-')) or 0
    end
  end
  local oldest = redis.call('XRANGE', KEYS[5], '-', '+', 'COUNT', 1)[1]
  local first = oldest and revision_of(string.match(oldest[1], '^(%d+)-'))
  if first and redis.call('XLEN', KEYS[5]) == top - first + 1 then
    return top, first - 1
  end
  return top, nil
end

-- All epochs that the new one stands for, each once.
local function replaced(meta)
  local epochs, seen = {}, {}
  local function add(epoch)
    if epoch and not seen[epoch] then
      seen[epoch] = true
      epochs[#epochs + 1] = epoch
    end
  end
  for i = 8, #ARGV do
    add(ARGV[i])
  end
  add(meta.epoch)
  for _, epoch in ipairs(unpacked(meta.replaces or '') or {}) do
    add(epoch)
  end
  return epochs
end

local function init()
  local schema, channel, force, epoch, nonce = ARGV[2], ARGV[3], ARGV[4] == '1', ARGV[5], ARGV[6]
  local meta = read_meta()
  local refused = refusal(meta, schema)
  if refused and (refused[1] == 'newer' or not force) then
    return refused
  end
  if not force and meta.schema and meta.ready and meta.epoch then
    return {'done', packed({'epoch', meta.epoch, 'rev', meta.rev or '', 'nonce', meta.nonce or ''})}
  end
  if not force and redis.call('EXISTS', unpack(KEYS)) > 0 then
    return {'damaged', 'meta'} -- not nothing, and not a namespace either: only the operator can say what it is
  end
  local denied = denial({{'HSET', KEYS[1], 'f', 'v'}, {'PUBLISH', channel, 'v'}})
  if denied then
    return denied
  end
  local top, base = log_bounds()
  -- The highest revision that anything here names: the new epoch goes on from it, so that no generation falls.
  local rev = math.max(revision_of(meta.rev) or 0, top, revision_of(ARGV[7]) or 0)
  if not base or top ~= rev then
    base = rev
  elseif revision_of(meta.base) then
    base = math.max(base, math.min(revision_of(meta.base), rev))
  end
  local count = redis.call('HLEN', KEYS[2]) + redis.call('HLEN', KEYS[3])
  redis.call('HSET', KEYS[1],
    'schema', schema, 'ready', '1', 'epoch', epoch, 'rev', decimal(rev), 'nonce', nonce, 'count', decimal(count),
    'start', decimal(rev), 'base', decimal(base), 'replaces', packed(replaced(meta)))
  local told = {'epoch', epoch, 'rev', decimal(rev), 'nonce', nonce}
  redis.call('PUBLISH', channel, 'gf1' .. packed({'gap', 'the namespace was initialised', unpack(told)}))
  return {'done', packed(told)}
end

return ARGV[1] == 'init' and init() or commit()
