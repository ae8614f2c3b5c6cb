/** A value that the API rejects, and what is wrong with it. */
export interface BadValue {
  readonly why: string;
  readonly value: unknown;
}

/** A field with values that the API rejects. */
export interface BadField {
  readonly field: string;
  readonly values: readonly BadValue[];
}

const bad = (...values: (readonly [why: string, value: unknown])[]): readonly BadValue[] =>
  values.map(([why, value]) => ({ why, value }));

const otherThanText = bad(
  ['null', null],
  ['a number', 5],
  ['true', true],
  ['an object', { a: 1 }],
  ['an empty object', {}],
);
const otherThanNumbers = bad(
  ['null', null],
  ['text', 'three'],
  ['a number as text', '3'],
  ['empty text', ''],
  ['true', true],
  ['a list', [3]],
  ['an object', { valueOf: 3 }],
);
const list = bad(['a list instead of one value', ['a']], ['an empty list', []]);
const unstorable = bad(['with a NUL byte', 'a\u0000b'], ['with a lone surrogate', 'a\ud800b']);
const badMoments = bad(
  ['null', null],
  ['empty', ''],
  ['a number', 1_893_456_000_000],
  ['not a date', 'tomorrow'],
  ['without a zone', '2030-01-31T09:00:00'],
  ['a day alone', '2030-01-31'],
  ['a day that does not exist', '2030-02-31T09:00:00Z'],
  ['an hour that does not exist', '2030-01-31T25:00:00Z'],
  ['another form', 'Thu, 31 Jan 2030 09:00:00 GMT'],
  ['too far away', '99999-01-31T09:00:00Z'],
  ['SQL', "2030-01-31T09:00:00Z'; DROP TABLE _jobs; --"],
  ['a list', ['2030-01-31T09:00:00Z']],
  ['an object', { $date: '2030-01-31T09:00:00Z' }],
);
const badDurations = bad(
  ['null', null],
  ['empty', ''],
  ['negative', -1],
  ['negative text', '-5s'],
  ['without a unit', '5'],
  ['with an unknown unit', '5 parsecs'],
  ['a list', ['5s']],
  ['an object', { seconds: 5 }],
  ['true', true],
  ['far beyond all bounds', 1e300],
);
const badKeys = [...otherThanText, ...list, ...unstorable, ...bad(['empty', ''], ['too long', 'x'.repeat(256)])];

/** Invalid values of a required `topic`. */
export const badTopic: BadField = { field: 'topic', values: badKeys };

const badRunAt: BadField = { field: 'run_at', values: badMoments };
const badMaxRetries: BadField = {
  field: 'max_retries',
  values: [...otherThanNumbers, ...bad(['negative', -1], ['too large', 1_001], ['a fraction', 1.5], ['huge', 1e21])],
};
const badPayload: BadField = {
  field: 'payload',
  values: bad(
    ['with a NUL byte', { a: ['b\u0000'] }],
    ['with a lone surrogate', 'a\udc00'],
    ['with a NUL byte in a name', { 'a\u0000': 1 }],
    ['too deep', JSON.parse(`${'['.repeat(65)}${']'.repeat(65)}`) as unknown],
    ['much too deep', JSON.parse(`${'{"a":'.repeat(3_000)}1${'}'.repeat(3_000)}`) as unknown],
  ),
};

/** Invalid values of the fields of `POST /enqueue`, and of each job of `POST /enqueue-many`. */
export const badEnqueueFields: readonly BadField[] = [
  badTopic,
  badPayload,
  badRunAt,
  { field: 'delay', values: badDurations },
  badMaxRetries,
  {
    field: 'priority',
    values: [...otherThanNumbers, ...bad(['too small', -1_001], ['too large', 1_001], ['a fraction', 0.5])],
  },
  { field: 'timeout', values: [...badDurations, ...bad(['zero', 0])] },
  { field: 'unique_key', values: badKeys },
  {
    field: 'metadata',
    values: bad(
      ['null', null],
      ['text', 'a'],
      ['a number', 1],
      ['a list', [{ a: 1 }]],
      ['true', true],
      ['with a NUL byte', { a: '\u0000' }],
    ),
  },
];

/** Invalid values of the fields of `POST /:id/requeue`. */
export const badRequeueFields: readonly BadField[] = [badPayload, badRunAt, badMaxRetries];

const badTopics: BadField = {
  field: 'topic',
  values: [
    ...otherThanText,
    ...unstorable,
    ...bad(['empty', ''], ['too long', 'x'.repeat(256)], ['an empty list', []], ['a list with a number', ['a', 1]]),
  ],
};
const badStatuses: BadField = {
  field: 'status',
  values: [
    ...otherThanText,
    ...bad(['unknown', 'done'], ['in another case', 'FAILED'], ['an empty list', []], ['a list', ['failed', 'done']]),
    ...bad(['SQL', "failed' OR '1'='1"], ['several in one', 'failed,pending'], ['inherited', 'constructor']),
  ],
};
const badSearch: BadField = {
  field: 'q',
  values: [...otherThanText, ...list, ...unstorable, ...bad(['empty', ''], ['too long', 'x'.repeat(1_001)])],
};

const badErrorKey: BadField = {
  field: 'error_key',
  values: [
    ...otherThanText,
    ...list,
    ...bad(['empty', ''], ['too short', 'abc'], ['too long', '0'.repeat(33)], ['in capitals', 'A'.repeat(32)]),
  ],
};

const badDue: BadField = {
  field: 'due',
  values: bad(['null', null], ['text', 'true'], ['a number', 1], ['a list', [true]], ['an object', {}]),
};

/** Invalid values of the members of the filter of `POST /bulk`. */
export const badFilterFields: readonly BadField[] = [
  badTopics,
  badStatuses,
  badDue,
  badSearch,
  badErrorKey,
  { field: 'created_from', values: badMoments },
  { field: 'created_to', values: badMoments },
];

/** Invalid values of the fields of `POST /bulk`. */
export const badBulkFields: readonly BadField[] = [
  {
    field: 'action',
    values: [...otherThanText, ...list, ...bad(['unknown', 'drop'], ['in another case', 'Delete'], ['empty', ''])],
  },
  {
    field: 'ids',
    values: bad(
      ['null', null],
      ['empty', []],
      ['text', '018f3f5e-7b5a-7000-8000-000000000000'],
      ['an object', { 0: '018f3f5e-7b5a-7000-8000-000000000000', length: 1 }],
      ['with a number', [1]],
      ['with null', [null]],
      ['with an invalid id', ['018f3f5e-7b5a-7000-8000-00000000000']],
      ['with SQL', ["018f3f5e-7b5a-7000-8000-000000000000' OR 1=1 --"]],
      ['too long', Array<string>(10_001).fill('018f3f5e-7b5a-7000-8000-000000000000')],
    ),
  },
  { field: 'filter', values: bad(['null', null], ['text', 'all'], ['a list', [{}]], ['true', true], ['a number', 1]) },
  {
    field: 'dry_run',
    values: bad(['null', null], ['text', 'true'], ['a number', 1], ['a list', [true]], ['an object', {}]),
  },
  {
    field: 'as_of',
    values: [...otherThanText, ...list, ...bad(['without a zone', '2030-01-01T00:00:00'], ['a day', '2030-01-01'])],
  },
  { field: 'max', values: bad(['null', null], ['text', '5'], ['zero', 0], ['a fraction', 1.5], ['too large', 10_001]) },
  { field: 'pace', values: [...otherThanText, ...list, ...bad(['no unit', '50'], ['days', '50/d'], ['zero', '0/m'])] },
  { field: 'cursor', values: [...otherThanText, ...list, ...bad(['empty', ''], ['too long', 'a'.repeat(401)])] },
];

/** A query parameter that the API rejects. */
export interface BadQuery {
  readonly field: string;
  readonly why: string;
  /** The text after the question mark. */
  readonly query: string;
}

const badQueries = (field: string, ...values: (readonly [why: string, value: string])[]): readonly BadQuery[] =>
  values.map(([why, value]) => ({ field, why, query: `${field}=${value}` }));

const badNumbers = (field: string): readonly BadQuery[] => [
  ...badQueries(
    field,
    ['empty', ''],
    ['text', 'ten'],
    ['a fraction', '1.5'],
    ['with an exponent', '1e1'],
    ['hexadecimal', '0x10'],
    ['with a space', '%201'],
    ['with a sign', '%2B1'],
    ['in other digits', '%D9%A1'],
    ['huge', '9'.repeat(400)],
    ['not a number', 'NaN'],
    ['infinite', 'Infinity'],
    ['negative', '-1'],
    ['SQL', '1%3B%20DROP%20TABLE%20_jobs'],
  ),
  { field, why: 'given twice', query: `${field}=1&${field}=2` },
  { field: `${field}[]`, why: 'as a list', query: `${field}[]=1` },
  { field: `${field}[a]`, why: 'as an object', query: `${field}[a]=1` },
];

const badMomentQueries = (field: string): readonly BadQuery[] => [
  ...badQueries(
    field,
    ['empty', ''],
    ['text', 'yesterday'],
    ['a day alone', '2030-01-31'],
    ['without a zone', '2030-01-31T09:00:00'],
    ['a number', '1893456000000'],
    // A plus sign in a query is a space.
    ['with a plus sign that is not encoded', '2030-01-31T09:00:00+02:00'],
    ['a day that does not exist', '2030-02-30T09:00:00Z'],
    ['SQL', "2030-01-31T09:00:00Z'%20OR%201=1"],
  ),
  { field, why: 'given twice', query: `${field}=2030-01-31T09:00:00Z&${field}=2030-01-31T09:00:00Z` },
];

const badTopicQueries: readonly BadQuery[] = [
  ...badQueries('topic', ['empty', ''], ['too long', 'x'.repeat(256)], ['with a NUL byte', 'a%00']),
  { field: 'topic', why: 'one of two empty', query: 'topic=a&topic=' },
  { field: 'topic[]', why: 'as a list', query: 'topic[]=a' },
  { field: 'topic[$ne]', why: 'as an operator', query: 'topic[$ne]=a' },
];

const unknownParameters: readonly BadQuery[] = [
  { field: 'sort', why: 'unknown', query: 'sort=id%3B%20DROP%20TABLE%20_jobs' },
  { field: 'Topic', why: 'in another case', query: 'Topic=a' },
  { field: '__proto__', why: 'of the prototype', query: '__proto__=a' },
  { field: '__proto__[isAdmin]', why: 'below the prototype', query: '__proto__[isAdmin]=true' },
  { field: 'constructor', why: 'of the class', query: 'constructor=a' },
  { field: 'toString', why: 'of every object', query: 'toString=a' },
  { field: '_method', why: 'of another method', query: '_method=DELETE' },
  { field: 'token', why: 'for a secret', query: 'token=a-token-for-tests' },
];

const badIds: readonly [string, string][] = [
  ['empty', ''],
  ['no id', 'abc'],
  ['SQL', "'%20OR%201=1%20--"],
];

/** Invalid query parameters of each route. */
export const badQueriesByRoute: Readonly<Record<string, readonly BadQuery[]>> = {
  '': [
    ...badTopicQueries,
    ...badQueries(
      'status',
      ['empty', ''],
      ['unknown', 'done'],
      ['in another case', 'Failed'],
      ['several in one', 'failed,pending'],
      ['inherited', 'constructor'],
      ['SQL', "failed'%20OR%20'1'='1"],
    ),
    ...badQueries('due', ['empty', ''], ['a number', '1'], ['another word', 'yes'], ['in another case', 'True']),
    { field: 'due', why: 'given twice', query: 'due=true&due=true' },
    { field: 'due', why: 'with the status of finished jobs', query: 'due=true&status=failed' },
    { field: 'status', why: 'one of two unknown', query: 'status=failed&status=done' },
    ...badQueries('q', ['empty', ''], ['too long', 'x'.repeat(1_001)], ['with a NUL byte', 'a%00']),
    { field: 'q', why: 'given twice', query: 'q=a&q=b' },
    ...badQueries(
      'error_key',
      ['empty', ''],
      ['too short', 'abc'],
      ['in capitals', 'A'.repeat(32)],
      ['SQL', "'%20OR%201=1%20--"],
    ),
    { field: 'error_key', why: 'together with a search', query: `q=a&error_key=${'0'.repeat(32)}` },
    ...badQueries('group_id', ...badIds),
    { field: 'group_id', why: 'together with a search', query: 'q=a&group_id=018f3f5e-7b5a-7000-8000-000000000000' },
    ...badMomentQueries('created_from'),
    ...badMomentQueries('created_to'),
    ...badMomentQueries('finished_from'),
    ...badMomentQueries('finished_to'),
    ...badQueries('order', ['empty', ''], ['another column', 'started'], ['SQL', 'finished%20DESC']),
    { field: 'status', why: 'without a place in the order', query: 'order=finished&status=completed' },
    { field: 'finished_to', why: 'in another order', query: 'order=created&finished_to=2030-01-31T09:00:00Z' },
    ...badNumbers('limit'),
    ...badQueries('limit', ['zero', '0'], ['too large', '201']),
    ...badNumbers('offset'),
    ...badQueries('offset', ['too large', '10000001']),
    ...badQueries(
      'cursor',
      ['empty', ''],
      ['made up', 'abc'],
      ['an id', '018f3f5e-7b5a-7000-8000-000000000000'],
      ['too long', 'x'.repeat(201)],
      ['SQL', "'%20OR%201=1%20--"],
      ['with a NUL byte', '%00'],
    ),
    { field: 'cursor', why: 'given twice', query: 'cursor=a&cursor=b' },
    { field: 'limit', why: 'given twice with one value', query: 'limit=5&limit=5' },
    ...unknownParameters,
  ],
  '/export': [
    { field: 'format', why: 'missing', query: 'topic=a' },
    ...badQueries('format', ['empty', ''], ['unknown', 'xml'], ['in capitals', 'CSV']),
    { field: 'limit', why: 'unknown here', query: 'format=csv&limit=5' },
    { field: 'cursor', why: 'unknown here', query: 'format=csv&cursor=abc' },
    { field: 'status', why: 'unknown', query: 'format=csv&status=done' },
  ],
  '/stats': [...badTopicQueries, ...unknownParameters, ...badQueries('limit', ['unknown here', '5'])],
  '/errors': [...badTopicQueries, ...unknownParameters],
  '/timeseries': [
    ...badTopicQueries,
    ...badNumbers('minutes'),
    ...badQueries('minutes', ['zero', '0'], ['too large', '1441']),
    ...unknownParameters,
  ],
  '/topics': [
    ...badTopicQueries,
    ...badNumbers('limit'),
    ...badQueries('limit', ['zero', '0'], ['too large', '1001']),
    ...badQueries('after', ['empty', ''], ['too long', 'x'.repeat(256)]),
    ...unknownParameters,
  ],
  '/groups': [
    ...badQueries('before', ...badIds),
    ...badNumbers('limit'),
    ...badQueries('limit', ['zero', '0'], ['too large', '101']),
    ...badQueries('finished', ['empty', ''], ['another word', 'maybe']),
    ...unknownParameters,
  ],
  '/workers': [...badQueries('topic', ['unknown here', 'a']), ...unknownParameters],
  '/capabilities': unknownParameters,
  '/openapi.json': unknownParameters,
  '/stream': [...badTopicQueries, ...unknownParameters],
  '/018f3f5e-7b5a-7000-8000-000000000000': unknownParameters,
};
