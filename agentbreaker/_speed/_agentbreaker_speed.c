/* The hot path of agentbreaker in C: the same answers as agentbreaker/kernel.py, the reference, only sooner.
 *
 * There is no global state.  A Table belongs to one Lexicon and remembers codes of tokens.  What it does not hold it
 * computes, if it was told how the words of the language are weighed, or asks the Lexicon for.  It is a cache of fixed size with four tokens (or two long ones) to a line of memory:
 * a look-up touches one line, whatever the tokens are, so nobody can choose tokens that make it slow, and a full line
 * drops its oldest token.  The bytes of a token are stored and compared, never only a hash.
 *
 * Stable ABI of CPython 3.11; every function holds the GIL.  What is unusual raises, and the caller computes in Python.
 */
#define PY_SSIZE_T_CLEAN
#define Py_LIMITED_API 0x030b0000
#include <Python.h>
#include <stdint.h>
#include <string.h>

/* Increased with every change of behaviour or signature; agentbreaker/kernel.py takes no other. */
#define KERNEL_VERSION 3

#define SHORT_BYTES 12
#define LONG_BYTES 28
#define SHORT_WAYS 4
#define LONG_WAYS 2
#define SHORT_LINES 8192 /* 32,768 tokens in 512 KiB; a power of two */
#define LONG_LINES 2048  /* 4,096 tokens in 128 KiB; a power of two */
#define LINE_BYTES 64
/* Folded text is handled 64 bytes at a time, and eight bytes are read from any byte of a token, four times. */
#define BLOCK 64
#define PADDING (2 * BLOCK)
#define STACK_BYTES 4096 /* longer texts are handled on the heap */
#define STACK_CODES 512
#define AHEAD 16
/* Places of the table that tells which codes a text has had: a power of two, at least twice as many as it has tokens. */
#define FEWEST_PLACES 64
#define STACK_PLACES 1024
#define NO_CODE UINT32_MAX

#if defined(__BYTE_ORDER__) && defined(__ORDER_BIG_ENDIAN__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define BIG_ENDIAN_BYTES 1
#else
#define BIG_ENDIAN_BYTES 0
#endif

/* Tokens hold no NUL, as folding makes blanks of them: filled up with NULs they are told apart, and empty is free. */
typedef struct {
    unsigned char token[SHORT_BYTES];
    uint32_t code;
} ShortEntry;

typedef struct {
    unsigned char token[LONG_BYTES];
    uint32_t code;
} LongEntry;

typedef struct {
    PyObject_HEAD
    void *memory; /* as it was allocated */
    ShortEntry *shorts;
    LongEntry *longs;
    uint64_t seed;
    uint64_t clears;
    /* How the words of the language are weighed: see Lexicon.__missing__.  NULL: the Lexicon is asked for every token. */
    PyObject *weights; /* a dictionary: what has a weight of its own */
    PyObject *odds;    /* bytes: for each pair of letters */
    long rare, letter, random; /* weights of other words */
    long shortest, longest;    /* letters of what may be random, and of what may be a word */
    long long least;           /* sum of the odds of a word */
    uint32_t crc[256];
} Table;

/* Where a token begins and ends in the folded text. */
typedef struct {
    uint32_t start, end;
} Span;

static unsigned
lowest_bit(uint64_t bits)
{
#if defined(__GNUC__) || defined(__clang__)
    return (unsigned)__builtin_ctzll(bits);
#else
    unsigned position = 0;
    while ((bits & 1) == 0) {
        bits >>= 1;
        position++;
    }
    return position;
#endif
}

/* The first `bytes` bytes (at most eight count, less than one counts as none), the others NUL. */
static uint64_t
load(const unsigned char *from, Py_ssize_t bytes)
{
    uint64_t word;
    int unused = bytes >= 8 ? 0 : bytes <= 0 ? 64 : (int)(64 - 8 * bytes);
    memcpy(&word, from, sizeof word);
    /* Two shifts, since one by 64 bits is undefined: no branch, the length of a word cannot be predicted. */
    if (BIG_ENDIAN_BYTES)
        return word & ~(uint64_t)0 << (unused / 2) << (unused - unused / 2);
    return word & ~(uint64_t)0 >> (unused / 2) >> (unused - unused / 2);
}

static uint64_t
mixed(uint64_t hash, uint64_t word)
{
    hash = (hash ^ word) * UINT64_C(0x9E3779B97F4A7C15);
    return hash ^ hash >> 29;
}

/* Letters and digits stay (lower case), bytes of UTF-8 sequences stay, all else becomes a blank, as does the padding; a
 * point or comma between digits becomes POINT.  One byte behind the text is read: bytes objects have a NUL there. */
static void
fold(unsigned char *to, const unsigned char *from, Py_ssize_t length)
{
    for (Py_ssize_t i = 0; i < length; i++) {
        unsigned char byte = from[i], low = byte | 32;
        unsigned char letter = ((unsigned char)(low - 'a') < 26) & (byte < 128);
        unsigned char other = ((unsigned char)(byte - '0') < 10) | (byte >= 128);
        to[i] = letter ? low : other ? byte : 32;
    }
    for (Py_ssize_t i = 1; i < length; i++) {
        unsigned char point = (from[i] == '.') | (from[i] == ',');
        unsigned char within = ((unsigned char)(from[i - 1] - '0') < 10) & ((unsigned char)(from[i + 1] - '0') < 10);
        to[i] |= (unsigned char)-(point & within);
    }
    memset(to + length, 32, PADDING);
}

/* One bit for each of 64 bytes, the lowest for the first: whether it belongs to a token. */
static uint64_t
word_bits(const unsigned char *folded)
{
    unsigned char flags[BLOCK];
    uint64_t bits = 0;
    for (int i = 0; i < BLOCK; i++)
        flags[i] = folded[i] != 32;
    for (int i = 0; i < BLOCK; i += 8) {
#if BIG_ENDIAN_BYTES
        for (int j = 0; j < 8; j++)
            bits |= (uint64_t)flags[i + j] << (i + j);
#else
        uint64_t eight;
        memcpy(&eight, flags + i, sizeof eight);
        bits |= (eight * UINT64_C(0x0102040810204080) >> 56) << i;
#endif
    }
    return bits;
}

/* Where the tokens are; returns how many.  Borders come by turns: a token begins, it ends, the next begins. */
static Py_ssize_t
split(const unsigned char *folded, Py_ssize_t length, uint32_t *borders)
{
    uint64_t carry = 0;
    Py_ssize_t found = 0;
    /* One block more than there are bytes for: the last token ends before or in it. */
    for (Py_ssize_t block = 0; block <= length; block += BLOCK) {
        uint64_t bits = word_bits(folded + block);
        uint64_t changes = bits ^ (bits << 1 | carry);
        carry = bits >> 63;
        for (; changes; changes &= changes - 1)
            borders[found++] = (uint32_t)block + lowest_bit(changes);
    }
    return found / 2;
}

/* Sum of the odds of all pairs of neighbours; -1 if there is another byte than a lower-case letter. */
static int
sum_of_odds(const unsigned char *letters, Py_ssize_t length, const char *table, Py_ssize_t size, long long *sum)
{
    *sum = 0;
    for (Py_ssize_t i = 1; i < length; i++) {
        Py_ssize_t first = letters[i - 1] - 'a', second = letters[i] - 'a', at = (first * 26 + second) * 4;
        int32_t odds;
        if (first < 0 || first > 25 || second < 0 || second > 25 || at + 4 > size)
            return -1;
        memcpy(&odds, table + at, sizeof odds);
        *sum += odds;
    }
    return 0;
}

/* The upper bits of a code: see `_hashed` in agentbreaker/lexicon.py. */
static uint32_t
hashed(const Table *self, const unsigned char *token, Py_ssize_t length)
{
    uint32_t crc = UINT32_MAX;
    for (Py_ssize_t i = 0; i < length; i++)
        crc = self->crc[(crc ^ token[i]) & 255] ^ crc >> 8;
    crc = ~crc;
    return (crc & 0x1FFF) << 17 | (crc >> 13 & 0xFF) << 9;
}

/* The code of a word of the language, without asking; -1 where that is not enough, -2 with an exception set. */
static int64_t
weigh(Table *self, PyObject *key, const unsigned char *token, Py_ssize_t length)
{
    PyObject *weight = PyDict_GetItemWithError(self->weights, key);
    if (weight != NULL) {
        long value = PyLong_AsLong(weight);
        if (value == -1 && PyErr_Occurred())
            return -2;
        return value < 0 || value > 0x1FF ? -1 : value ? (int64_t)(hashed(self, token, length) | (uint32_t)value) : 0;
    }
    if (PyErr_Occurred())
        return -2;
    for (Py_ssize_t i = 0; i < length; i++)
        if ((unsigned char)(token[i] - 'a') > 25)
            return -1;
    long value = length > 1 ? self->rare : self->letter;
    if (length >= self->shortest) {
        long long sum = 0;
        if (length <= self->longest &&
            sum_of_odds(token, length, PyBytes_AsString(self->odds), PyBytes_Size(self->odds), &sum) < 0)
            return -1;
        if (length > self->longest || sum < self->least)
            value = self->random;
    }
    return (int64_t)(hashed(self, token, length) | (uint32_t)value);
}

/* The code of a token that the table does not hold; -1 with an exception set. */
static int64_t
ask(Table *self, PyObject *lexicon, const unsigned char *token, Py_ssize_t length)
{
    PyObject *key = PyBytes_FromStringAndSize((const char *)token, length);
    if (key == NULL)
        return -1;
    if (self->weights != NULL) {
        int64_t known = weigh(self, key, token, length);
        if (known != -1) {
            Py_DECREF(key);
            return known < 0 ? -1 : known;
        }
    }
    PyObject *value = PyObject_GetItem(lexicon, key);
    Py_DECREF(key);
    if (value == NULL)
        return -1;
    long long code = PyLong_AsLongLong(value);
    Py_DECREF(value);
    if (code == -1 && PyErr_Occurred())
        return -1;
    if (code < 0 || code >= (1LL << 30)) {
        PyErr_SetString(PyExc_OverflowError, "a code has 30 bits");
        return -1;
    }
    return code;
}

/* What the table knows a short token by. */
typedef struct {
    uint64_t first;
    uint32_t last;
} Key;

static Key
key_of(const unsigned char *token, Py_ssize_t length)
{
    uint64_t rest = load(token + 8, length - 8);
    Key key = {load(token, length), 0};
    memcpy(&key.last, &rest, sizeof key.last); /* on either byte order the first four bytes in memory */
    return key;
}

static ShortEntry *
line_of(Table *self, Key key)
{
    uint64_t hash = mixed(mixed(self->seed, key.first), key.last);
    return self->shorts + (hash >> 20 & (SHORT_LINES - 1)) * SHORT_WAYS;
}

/* The code of a token (folded, with PADDING readable bytes behind it); -1 with an exception set. */
static int64_t
code_of(Table *self, PyObject *lexicon, const unsigned char *token, Py_ssize_t length)
{
    if (length <= SHORT_BYTES) {
        Key key = key_of(token, length);
        ShortEntry *line = line_of(self, key);
        /* All four are compared: which of them it is cannot be predicted either. */
        unsigned match = 0;
        for (int way = 0; way < SHORT_WAYS; way++) {
            uint64_t first;
            uint32_t last;
            memcpy(&first, line[way].token, sizeof first);
            memcpy(&last, line[way].token + 8, sizeof last);
            match |= (unsigned)((first == key.first) & (last == key.last)) << way;
        }
        if (match)
            return line[lowest_bit(match)].code;
        uint64_t clears = self->clears;
        int64_t code = ask(self, lexicon, token, length);
        if (code >= 0 && clears == self->clears) {
            memmove(line + 1, line, (SHORT_WAYS - 1) * sizeof *line);
            memcpy(line->token, &key.first, 8);
            memcpy(line->token + 8, &key.last, 4);
            line->code = (uint32_t)code;
        }
        return code;
    }
    if (length <= LONG_BYTES) {
        unsigned char key[LONG_BYTES] = {0};
        memcpy(key, token, (size_t)length);
        uint64_t hash = self->seed;
        for (Py_ssize_t at = 0; at < length; at += 8)
            hash = mixed(hash, load(token + at, length - at));
        LongEntry *line = self->longs + (hash >> 20 & (LONG_LINES - 1)) * LONG_WAYS;
        for (int way = 0; way < LONG_WAYS; way++)
            if (memcmp(line[way].token, key, LONG_BYTES) == 0)
                return line[way].code;
        uint64_t clears = self->clears;
        int64_t code = ask(self, lexicon, token, length);
        if (code >= 0 && clears == self->clears) {
            memmove(line + 1, line, (LONG_WAYS - 1) * sizeof *line);
            memcpy(line->token, key, LONG_BYTES);
            line->code = (uint32_t)code;
        }
        return code;
    }
    return ask(self, lexicon, token, length);
}

/* Go through the tokens: how many there are, how many of them are grammar, and if `words` is not NULL, the codes of the
 * distinct ones, grammar left out, in the order of their first appearance.  0, or -1 with an exception set. */
static int
each_token(Table *self, PyObject *raw, PyObject *lexicon, PyObject **words, Py_ssize_t *all, Py_ssize_t *grammar)
{
    unsigned char stack[STACK_BYTES + PADDING];
    Span stack_spans[STACK_BYTES / 2 + 1];
    uint32_t stack_places[STACK_PLACES], *places = stack_places;
    char *bytes;
    Py_ssize_t length;
    if (PyBytes_AsStringAndSize(raw, &bytes, &length) < 0)
        return -1;
    if (length > INT32_MAX - PADDING) {
        PyErr_SetString(PyExc_OverflowError, "the text is too long");
        return -1;
    }
    unsigned char *folded = stack;
    Span *spans = stack_spans;
    int failed = 1;
    if (length > STACK_BYTES) {
        folded = PyMem_Malloc((size_t)length + PADDING);
        spans = PyMem_Malloc(((size_t)length / 2 + 1) * sizeof *spans);
        if (folded == NULL || spans == NULL) {
            PyErr_NoMemory();
            goto done;
        }
    }
    fold(folded, (const unsigned char *)bytes, length);
    Py_ssize_t tokens = split(folded, length, &spans->start);
    *all = tokens;
    *grammar = 0;
    size_t size = FEWEST_PLACES;
    while (size < 2 * (size_t)tokens)
        size *= 2;
    if (size > STACK_PLACES && (places = PyMem_Malloc(size * sizeof *places)) == NULL) {
        PyErr_NoMemory();
        goto done;
    }
    memset(places, 255, size * sizeof *places); /* NO_CODE */
    /* The codes take the place of the spans already read. */
    uint32_t *codes = &spans->start;
    Py_ssize_t count = 0;
    for (Py_ssize_t i = 0; i < tokens; i++) {
        Span span = spans[i];
#if defined(__GNUC__) || defined(__clang__)
        /* Most of the time goes into waiting for the memory of the table: it is asked for well before it is needed. */
        if (i + AHEAD < tokens) {
            Span later = spans[i + AHEAD];
            __builtin_prefetch(line_of(self, key_of(folded + later.start, (Py_ssize_t)(later.end - later.start))));
        }
#endif
        int64_t found = code_of(self, lexicon, folded + span.start, (Py_ssize_t)(span.end - span.start));
        if (found < 0)
            goto done;
        uint32_t code = (uint32_t)found;
        /* The seed keeps anybody from choosing tokens that all want the same place. */
        size_t place = (size_t)(mixed(self->seed, code) >> 20) & (size - 1);
        while (places[place] != code && places[place] != NO_CODE)
            place = (place + 1) & (size - 1);
        codes[count] = code;
        count += (places[place] != code) & (code != 0);
        places[place] = code;
        *grammar += code == 0;
    }
    failed = words != NULL && (*words = PyBytes_FromStringAndSize((char *)codes, count * (Py_ssize_t)sizeof *codes)) == NULL;
done:
    if (folded != stack)
        PyMem_Free(folded);
    if (spans != stack_spans)
        PyMem_Free(spans);
    if (places != stack_places)
        PyMem_Free(places);
    return failed ? -1 : 0;
}

static int
two_arguments(Py_ssize_t given)
{
    if (given == 2)
        return 1;
    PyErr_SetString(PyExc_TypeError, "the arguments are the text and the lexicon");
    return 0;
}

static PyObject *
Table_codes(PyObject *self, PyObject *const *args, Py_ssize_t given)
{
    Py_ssize_t all, grammar;
    PyObject *words;
    if (!two_arguments(given) || each_token((Table *)self, args[0], args[1], &words, &all, &grammar) < 0)
        return NULL;
    return words;
}

static PyObject *
Table_grammar(PyObject *self, PyObject *const *args, Py_ssize_t given)
{
    Py_ssize_t all, grammar;
    if (!two_arguments(given) || each_token((Table *)self, args[0], args[1], NULL, &all, &grammar) < 0)
        return NULL;
    return Py_BuildValue("nn", grammar, all);
}

static PyObject *
Table_clear(PyObject *object, PyObject *Py_UNUSED(nothing))
{
    Table *self = (Table *)object;
    self->clears++;
    memset(self->shorts, 0, (size_t)SHORT_LINES * LINE_BYTES);
    memset(self->longs, 0, (size_t)LONG_LINES * LINE_BYTES);
    Py_RETURN_NONE;
}

static PyObject *
Table_new(PyTypeObject *type, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"weights", "odds", "rare", "letter", "random", "shortest", "longest", "least", NULL};
    PyObject *weights = NULL, *odds = NULL;
    long rare = 0, letter = 0, random = 0, shortest = 0, longest = 0;
    long long least = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "|$O!SlllllL", names, &PyDict_Type, &weights, &odds, &rare, &letter,
                                     &random, &shortest, &longest, &least))
        return NULL;
    if ((weights == NULL) != (odds == NULL) || ((rare | letter | random) & ~0x1FFL)) {
        PyErr_SetString(PyExc_ValueError, "weights and odds come together, and a weight has nine bits");
        return NULL;
    }
    allocfunc allocate = (allocfunc)PyType_GetSlot(type, Py_tp_alloc);
    Table *self = (Table *)allocate(type, 0);
    if (self == NULL)
        return NULL;
    self->weights = Py_XNewRef(weights);
    self->odds = Py_XNewRef(odds);
    self->rare = rare;
    self->letter = letter;
    self->random = random;
    self->shortest = shortest;
    self->longest = longest;
    self->least = least;
    for (uint32_t byte = 0; byte < 256; byte++) {
        uint32_t crc = byte;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? crc >> 1 ^ UINT32_C(0xEDB88320) : crc >> 1;
        self->crc[byte] = crc;
    }
    self->memory = PyMem_Calloc(SHORT_LINES + LONG_LINES + 1, LINE_BYTES);
    if (self->memory == NULL) {
        Py_DECREF(self);
        return PyErr_NoMemory();
    }
    uintptr_t start = ((uintptr_t)self->memory + LINE_BYTES - 1) & ~(uintptr_t)(LINE_BYTES - 1);
    self->shorts = (ShortEntry *)start;
    self->longs = (LongEntry *)(start + (uintptr_t)SHORT_LINES * LINE_BYTES);
    self->seed = mixed((uint64_t)(uintptr_t)self, (uint64_t)start);
    return (PyObject *)self;
}

static void
Table_dealloc(PyObject *self)
{
    PyTypeObject *type = Py_TYPE(self);
    freefunc release = (freefunc)PyType_GetSlot(type, Py_tp_free);
    Py_XDECREF(((Table *)self)->weights);
    Py_XDECREF(((Table *)self)->odds);
    PyMem_Free(((Table *)self)->memory);
    release(self);
    Py_DECREF(type);
}

/* The words that a conversation has not had lately: see `information` in agentbreaker/kernel.py. */
static PyObject *
information(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t given)
{
    uint32_t stack[STACK_CODES], *figures = stack, code;
    if (given != 4) {
        PyErr_SetString(PyExc_TypeError, "the arguments are the codes, the slots, the generation and the shift");
        return NULL;
    }
    if (!PyBytes_CheckExact(args[0]) || !PyByteArray_CheckExact(args[1])) {
        PyErr_SetString(PyExc_TypeError, "codes as bytes and a bytearray are wanted");
        return NULL;
    }
    long now = PyLong_AsLong(args[2]), shift = PyLong_AsLong(args[3]);
    if ((now == -1 || shift == -1) && PyErr_Occurred())
        return NULL;
    if (now < 1 || now > 255 || shift < 0 || shift > 31) {
        PyErr_SetString(PyExc_ValueError, "the generation or the shift is out of range");
        return NULL;
    }
    Py_ssize_t slots = PyByteArray_Size(args[1]), count = PyBytes_Size(args[0]) / (Py_ssize_t)sizeof code;
    const char *codes = PyBytes_AsString(args[0]);
    /* First all is checked, then it is remembered: what raises has changed nothing. */
    for (Py_ssize_t i = 0; i < count; i++) {
        memcpy(&code, codes + i * (Py_ssize_t)sizeof code, sizeof code);
        if ((Py_ssize_t)(code >> shift) >= slots) {
            PyErr_SetString(PyExc_ValueError, "a code is out of range");
            return NULL;
        }
    }
    if (count > STACK_CODES && (figures = PyMem_Malloc((size_t)count * sizeof *figures)) == NULL)
        return PyErr_NoMemory();
    PyObject *numbers = Py_NewRef(Py_None), *result = NULL;
    unsigned char *seen = (unsigned char *)PyByteArray_AsString(args[1]);
    long long words = 0;
    Py_ssize_t fresh = 0, renewed = 0, found = 0;
    for (Py_ssize_t i = 0; i < count; i++) {
        memcpy(&code, codes + i * (Py_ssize_t)sizeof code, sizeof code);
        unsigned char *slot = seen + (code >> shift);
        long heard = *slot;
        if (heard == now)
            continue;
        *slot = (unsigned char)now;
        if (heard == now - 1) {
            renewed++;
            continue;
        }
        fresh++;
        if ((code & 0x80) == 0)
            words += code & 0x7F;
        else
            figures[found++] = code;
    }
    if (found) {
        Py_DECREF(numbers);
        if ((numbers = PyList_New(found)) == NULL)
            goto done; /* no memory: the words of this message count as heard, which is the lesser evil */
        for (Py_ssize_t i = 0; i < found; i++) {
            PyObject *number = PyLong_FromUnsignedLong(figures[i]);
            if (number == NULL || PyList_SetItem(numbers, i, number) < 0)
                goto done;
        }
    }
    result = Py_BuildValue("LnnO", words, fresh, renewed, numbers);
done:
    Py_XDECREF(numbers);
    if (figures != stack)
        PyMem_Free(figures);
    return result;
}

/* Fingerprints, each once, the latest at the end: see `remember` in agentbreaker/kernel.py. */
static PyObject *
remember(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t given)
{
    if (given != 4 || !PyByteArray_CheckExact(args[0]) || !PyLong_Check(args[1])) {
        PyErr_SetString(PyExc_TypeError, "the arguments are a bytearray, a fingerprint, a limit, and whether to renew");
        return NULL;
    }
    uint64_t fingerprint = PyLong_AsUnsignedLongLongMask(args[1]);
    Py_ssize_t limit = PyLong_AsSsize_t(args[2]), size = PyByteArray_Size(args[0]), at = 0;
    int renew = PyObject_IsTrue(args[3]);
    if (PyErr_Occurred())
        return NULL;
    if (limit < 8 || size % 8) {
        PyErr_SetString(PyExc_ValueError, "a fingerprint has eight bytes");
        return NULL;
    }
    unsigned char key[8];
    for (int i = 0; i < 8; i++)
        key[i] = (unsigned char)(fingerprint >> 8 * i);
    char *keys = PyByteArray_AsString(args[0]);
    while (at < size && memcmp(keys + at, key, 8) != 0)
        at += 8;
    int known = at < size;
    if (!known && size < limit) {
        if (PyByteArray_Resize(args[0], size + 8) < 0)
            return NULL;
        memcpy(PyByteArray_AsString(args[0]) + size, key, 8);
    }
    else if (!known || renew) {
        if (!known)
            at = 0; /* the oldest makes room */
        memmove(keys + at, keys + at + 8, (size_t)(size - at - 8));
        memcpy(keys + size - 8, key, 8);
    }
    return PyBool_FromLong(known);
}

/* How many characters of ASCII text are among these: see `count_of` in agentbreaker/kernel.py. */
static PyObject *
count_of(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t given)
{
    unsigned char wanted[256] = {0};
    char *symbols;
    Py_ssize_t length, kinds, count = 0;
    if (given != 2 || !PyUnicode_CheckExact(args[0])) {
        PyErr_SetString(PyExc_TypeError, "the arguments are a text and the bytes to count");
        return NULL;
    }
    if (PyBytes_AsStringAndSize(args[1], &symbols, &kinds) < 0)
        return NULL;
    const char *text = PyUnicode_AsUTF8AndSize(args[0], &length);
    if (text == NULL)
        return NULL;
    for (Py_ssize_t i = 0; i < kinds; i++)
        wanted[(unsigned char)symbols[i]] = 1;
    for (Py_ssize_t i = 0; i < length; i++)
        count += wanted[(unsigned char)text[i]];
    return PyLong_FromSsize_t(count);
}

/* Sum of the odds of all pairs of neighbours in lower-case letters: see `pair_sum` in agentbreaker/kernel.py. */
static PyObject *
pair_sum(PyObject *Py_UNUSED(module), PyObject *const *args, Py_ssize_t given)
{
    char *letters, *table;
    Py_ssize_t length, size;
    long long sum;
    if (given != 2) {
        PyErr_SetString(PyExc_TypeError, "the arguments are the letters and the odds");
        return NULL;
    }
    if (PyBytes_AsStringAndSize(args[0], &letters, &length) < 0 || PyBytes_AsStringAndSize(args[1], &table, &size) < 0)
        return NULL;
    if (sum_of_odds((const unsigned char *)letters, length, table, size, &sum) < 0) {
        PyErr_SetString(PyExc_KeyError, "not a pair of letters");
        return NULL;
    }
    return PyLong_FromLongLong(sum);
}

static PyMethodDef table_methods[] = {
    {"codes", (PyCFunction)(void (*)(void))Table_codes, METH_FASTCALL,
     "codes(text, lexicon) -> codes of the distinct tokens of a text, grammar left out, in four bytes apiece"},
    {"grammar", (PyCFunction)(void (*)(void))Table_grammar, METH_FASTCALL,
     "grammar(text, lexicon) -> (tokens of a text that are grammar, all of its tokens)"},
    {"clear", Table_clear, METH_NOARGS, "clear() forgets all tokens"},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot table_slots[] = {
    {Py_tp_doc, "Codes of tokens: of words of the language, if it is told their weights, and of what a lexicon computes."},
    {Py_tp_new, Table_new},
    {Py_tp_dealloc, Table_dealloc},
    {Py_tp_methods, table_methods},
    {0, NULL},
};

static PyType_Spec table_spec = {
    .name = "_agentbreaker_speed.Table",
    .basicsize = sizeof(Table),
    .flags = Py_TPFLAGS_DEFAULT | Py_TPFLAGS_IMMUTABLETYPE,
    .slots = table_slots,
};

static PyMethodDef functions[] = {
    {"pair_sum", (PyCFunction)(void (*)(void))pair_sum, METH_FASTCALL,
     "pair_sum(letters, odds) -> sum of the odds of all pairs of neighbours"},
    {"count_of", (PyCFunction)(void (*)(void))count_of, METH_FASTCALL,
     "count_of(text, symbols) -> how many characters of ASCII text are among the symbols"},
    {"remember", (PyCFunction)(void (*)(void))remember, METH_FASTCALL,
     "remember(fingerprints, fingerprint, limit in bytes, renew) -> whether it was there"},
    {"information", (PyCFunction)(void (*)(void))information, METH_FASTCALL,
     "information(codes, seen, now, shift) -> (weight of new words, new slots, renewed slots, new numbers or None)"},
    {NULL, NULL, 0, NULL},
};

static int
execute(PyObject *module)
{
    PyObject *type = PyType_FromModuleAndSpec(module, &table_spec, NULL);
    if (type == NULL)
        return -1;
    int failed = PyModule_AddObjectRef(module, "Table", type);
    Py_DECREF(type);
    return failed < 0 ? -1 : PyModule_AddIntConstant(module, "KERNEL_VERSION", KERNEL_VERSION);
}

static PyModuleDef_Slot module_slots[] = {
    {Py_mod_exec, (void *)execute},
    {0, NULL},
};

static struct PyModuleDef module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "_agentbreaker_speed",
    .m_doc = "The hot path of agentbreaker, compiled.  Private: agentbreaker.kernel is the way in.",
    .m_methods = functions,
    .m_slots = module_slots,
};

PyMODINIT_FUNC
PyInit__agentbreaker_speed(void)
{
    return PyModuleDef_Init(&module);
}
