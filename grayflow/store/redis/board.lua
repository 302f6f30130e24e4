-- What running services write: records with leases, counters, sets. One call does one verb of `Board`, whole.
--
-- Apart from scripts.lua because the rights are others: whoever may run this may not touch the flags, and it never
-- looks at them. It needs no initialised namespace.
--
-- Redis does not undo a script: each verb reads and refuses first. A server that is full refuses the first write, unless
-- something was removed before it.
-- A user who lacks a single right can stop it half-way, so what may be there alone comes first: the fence before its
-- lease, the entry of an end before its record, the number of a batch before its sums.
--
-- Values are bytes and pass through untouched. Instants are microseconds since the epoch, by this server's clock; they,
-- fences and versions are doubles here, exact below 2^53 (the year 2255), written by `decimal` because
-- tostring(1e15) is "1e+15". Sums are 64 bits, and only Redis counts with them.
--
-- ARGV[1] is the verb; names of keys: keys.py. An answer is a list of texts: first done, refused (a condition does not
-- hold) or damaged (what lies there cannot be read, nothing was written), then what the verb has to tell.

local SWEPT = 10 -- records that are over and go with one call, so that no call takes long

local function decimal(number)
  return string.format('%.0f', number)
end

local function now()
  local time = redis.call('TIME')
  return time[1] * 1e6 + time[2]
end

-- records --------------------------------------------------------------------------------------------------------------
--
-- KEYS: records, expiries; fence (claim only)
-- ARGV: verb, name, then what the verb says
--
-- A record is VERSION:EXPIRES:FENCE:UNTIL:SIZE:OWNER and the value behind it, SIZE being that of OWNER in bytes.
-- EXPIRES is empty if it stays; FENCE, UNTIL and OWNER are empty without a lease. record.py reads it too.

local function parsed(raw)
  local _, _, version, expires, fence, ends, size, at = string.find(raw, '^(%d+):(%d*):(%d*):(%d*):(%d+):()')
  if not version or (fence == '') ~= (ends == '') or math.max(#version, #expires, #fence, #ends, #size) > 16 then
    return nil
  end
  if at + size > #raw + 1 then
    return nil
  end
  return {
    version = tonumber(version), expires = tonumber(expires), fence = tonumber(fence), ends = tonumber(ends),
    owner = string.sub(raw, at, at + size - 1), value = string.sub(raw, at + size)
  }
end

local function header(record)
  return table.concat({
    decimal(record.version), record.expires and decimal(record.expires) or '', record.fence and decimal(record.fence) or '',
    record.ends and decimal(record.ends) or '', #record.owner, record.owner
  }, ':')
end

local ended = false -- whether what lies there has an end, and so an entry in expiries

local function keep(record)
  if record.expires then
    redis.call('ZADD', KEYS[2], decimal(record.expires), ARGV[2])
  elseif ended then
    redis.call('ZREM', KEYS[2], ARGV[2])
  end
  redis.call('HSET', KEYS[1], ARGV[2], header(record) .. record.value)
end

local function drop()
  redis.call('HDEL', KEYS[1], ARGV[2])
  redis.call('ZREM', KEYS[2], ARGV[2])
end

local function is_version(held, expected)
  return expected == '' or expected == decimal(held and held.version or 0)
end

local function is_fence(held, fence)
  return fence == '' or (held and held.fence and decimal(held.fence) == fence)
end

-- value, expected or '', fence or '', span or '': tells the record without its value, which the caller has
local function put(held, time)
  local value, expected, fence, span = ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6])
  if not is_fence(held, fence) then
    return {'refused'}
  end
  if held and expected == decimal(held.version - 1) and held.value == value then
    return {'done', header(held)} -- this very write, repeated
  end
  if not is_version(held, expected) then
    return {'refused'}
  end
  local record = held or {version = 0, owner = ''}
  record.version, record.value, record.expires = record.version + 1, value, span and time + span
  keep(record)
  return {'done', header(record)}
end

-- expected or '', fence or ''
local function delete(held)
  if held and not (is_version(held, ARGV[3]) and is_fence(held, ARGV[4])) then
    return {'refused'}
  end
  drop()
  return {'done'}
end

-- The fence of a new holder; nil if the last one cannot be read. It follows the time too, so that it grows even where
-- all of this was lost. The record's own is looked at in case that only the counter was.
local function next_fence(held, time)
  local last = redis.call('GET', KEYS[3]) or '0'
  if not string.find(last, '^%d+$') or tonumber(last) >= 2 ^ 53 then
    return nil
  end
  local fence = math.max(tonumber(last) + 1, (held and held.fence or 0) + 1, time)
  redis.call('SET', KEYS[3], decimal(fence))
  return fence
end

-- owner, span, expected or '': tells the record
local function claim(held, time)
  local owner, span, expected = ARGV[3], tonumber(ARGV[4]), ARGV[5]
  local taken = held and held.ends and held.ends > time
  if not is_version(held, expected) or (taken and held.owner ~= owner) then
    return {'refused'}
  end
  local record = held or {version = 0, value = ''}
  if not taken then
    record.fence = next_fence(held, time)
    if not record.fence then
      return {'damaged', KEYS[3]}
    end
  end
  record.owner, record.ends = owner, time + span
  keep(record)
  return {'done', header(record) .. record.value}
end

-- fence, span
local function renew(held, time)
  if not is_fence(held, ARGV[3]) then
    return {'refused'}
  end
  held.ends = time + tonumber(ARGV[4])
  keep(held)
  return {'done'}
end

-- fence
local function release(held)
  if not is_fence(held, ARGV[3]) then
    return {'refused'}
  end
  held.fence, held.ends, held.owner = nil, nil, ''
  if held.version == 0 then
    drop()
  else
    keep(held)
  end
  return {'done'}
end

-- Removes some of what is over, whosever it is: nobody else does, and the dead never come back to do it.
local function sweep(time)
  local over = redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', decimal(time), 'LIMIT', 0, SWEPT)
  if #over > 0 then
    redis.call('HDEL', KEYS[1], unpack(over))
    redis.call('ZREM', KEYS[2], unpack(over))
  end
end

local function with_record(verb)
  local time, held = now(), nil
  local raw = redis.call('HGET', KEYS[1], ARGV[2])
  if raw then
    held = parsed(raw)
    if not held then
      return {'damaged', KEYS[1], ARGV[2]}
    end
    ended = held.expires ~= nil
  end
  sweep(time)
  if held and held.expires and held.expires <= time then
    held = nil
  end
  return verb(held, time)
end

-- counters -------------------------------------------------------------------------------------------------------------

-- Whether a sum can be added to and stays within 64 bits. HINCRBY would say so as well, half-way.
local function can_add(sum, amount)
  return string.find(sum, '^-?%d+$') and #sum <= 20 and math.abs(tonumber(sum) + tonumber(amount)) < 9.2e18
end

-- KEYS: counter, writers
-- ARGV: 'count', writer, sequence, milliseconds, then each field and its amount
local function count()
  local last = redis.call('HGET', KEYS[2], ARGV[2]) or '0'
  if not string.find(last, '^%d+$') then
    return {'damaged', KEYS[2], ARGV[2]}
  end
  redis.call('HLEN', KEYS[1]) -- raises if this is no hash, while nothing is written
  if tonumber(ARGV[3]) <= tonumber(last) then
    return {'refused'}
  end
  for i = 5, #ARGV, 2 do
    if not can_add(redis.call('HGET', KEYS[1], ARGV[i]) or '0', ARGV[i + 1]) then
      return {'damaged', KEYS[1], ARGV[i]}
    end
  end
  redis.call('HSET', KEYS[2], ARGV[2], ARGV[3])
  for i = 5, #ARGV, 2 do
    redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[i + 1])
  end
  redis.call('PEXPIRE', KEYS[2], ARGV[4])
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  return {'done'}
end

-- sets -----------------------------------------------------------------------------------------------------------------

-- KEYS: set
-- ARGV: 'add', milliseconds or '', then the members: tells those that are new
local function add()
  local time, new = decimal(now()), {'done'}
  for i = 3, #ARGV do
    if redis.call('ZADD', KEYS[1], 'NX', time, ARGV[i]) == 1 then
      new[#new + 1] = ARGV[i]
    end
  end
  -- Not before ZADD: a full server would take that then, and sets would grow without end.
  if ARGV[2] == '' then
    redis.call('PERSIST', KEYS[1])
  else
    redis.call('PEXPIRE', KEYS[1], ARGV[2])
  end
  return new
end

-- KEYS: set
-- ARGV: 'remove', then the members
local function remove()
  for i = 2, #ARGV, 1000 do -- Lua puts some 8,000 values on its stack at most
    redis.call('ZREM', KEYS[1], unpack(ARGV, i, math.min(i + 999, #ARGV)))
  end
  return {'done'}
end

local RECORDS = {put = put, delete = delete, claim = claim, renew = renew, release = release}
local OTHERS = {count = count, add = add, remove = remove}

local verb = RECORDS[ARGV[1]]
return verb and with_record(verb) or OTHERS[ARGV[1]]()
