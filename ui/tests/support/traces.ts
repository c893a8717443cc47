/** The traces that tests look at: the two reference traces, a failed and incomplete failover, and a very large one. */

import type { SpanSpec, TraceSpec } from './wire-builder';

const MS = 1e6;
const S = 1e9;
const START = 1_763_928_000_000_000_000n;

const instance = { 'dbaas.instance.id': 'pg-7f2', 'dbaas.engine': 'postgres' };

/**
 * Provisioning: 83.5 s. The steps add up to 85.022 s; setting up replication begins 1.522 s before initialising the
 * database has ended.
 */
export const CREATE_INSTANCE: TraceSpec = {
  traceId: '0af7651916cd43dd8448eb211c80319c',
  startUnixNano: START,
  roots: [
    {
      name: 'CreateInstance',
      service: 'control-api',
      kind: 'server',
      start: 0,
      duration: 83.5 * S,
      attributes: { ...instance, 'dbaas.plan': 'standard-4', 'dbaas.region': 'eu-west-1', 'http.request.method': 'POST', 'url.path': '/v1/instances', 'http.response.status_code': 201, replicas: 2 },
      children: [
        { name: 'API validation', service: 'control-api', start: 0, duration: 2 * MS },
        { name: 'Quota check', service: 'control-api', start: 2 * MS, duration: 5 * MS },
        { name: 'Schedule placement', service: 'scheduler', start: 7 * MS, duration: 15 * MS, attributes: { 'dbaas.node.pool': 'gp-2', 'placement.candidates': 14 } },
        {
          name: 'Allocate resources',
          service: 'provisioner',
          start: 22 * MS,
          duration: 45 * S,
          attributes: instance,
          children: [
            { name: 'Create PVC', service: 'provisioner', kind: 'client', start: 22 * MS, duration: 3 * S, attributes: { 'k8s.persistentvolumeclaim.name': 'data-pg-7f2-0', 'k8s.namespace.name': 'tenants' } },
            { name: 'Create StatefulSet', service: 'provisioner', kind: 'client', start: 3.022 * S, duration: 2 * S, attributes: { 'k8s.statefulset.name': 'pg-7f2' } },
            {
              name: 'Wait for Pod ready',
              service: 'provisioner',
              start: 5.022 * S,
              duration: 40 * S,
              attributes: { 'k8s.pod.name': 'pg-7f2-0', 'k8s.namespace.name': 'tenants', 'k8s.container.image': 'registry/postgres:17.3' },
              events: [
                { at: 5.1 * S, name: 'Scheduled', attributes: { 'k8s.node.name': 'node-17' } },
                { at: 6.2 * S, name: 'Pulling', attributes: { image: 'registry/postgres:17.3' } },
                { at: 31.4 * S, name: 'Pulled', attributes: { 'image.size_bytes': 152_043_520 } },
                { at: 33 * S, name: 'Started' },
                { at: 45 * S, name: 'Ready' },
              ],
            },
          ],
        },
        {
          name: 'Initialize database',
          service: 'agent',
          kind: 'server',
          start: 45.022 * S,
          duration: 8 * S,
          attributes: instance,
          children: [
            { name: 'initdb', service: 'agent', start: 45.1 * S, duration: 3 * S, attributes: { 'process.command': 'initdb -D /var/lib/postgresql/data' } },
            { name: 'Apply config', service: 'agent', start: 48.2 * S, duration: 1 * S },
            { name: 'Create users', service: 'agent', start: 49.3 * S, duration: 500 * MS, attributes: { 'db.system.name': 'postgresql', 'db.query.text': "CREATE ROLE app LOGIN PASSWORD '***'" } },
          ],
        },
        { name: 'Setup replication', service: 'agent', start: 51.5 * S, duration: 30 * S, attributes: { ...instance, 'replication.mode': 'async' } },
        { name: 'Register endpoints', service: 'endpoint-controller', kind: 'client', start: 81.5 * S, duration: 2 * S, attributes: { 'dns.question.name': 'pg-7f2.db.example' } },
      ],
    },
  ],
};

/** One statement: 4.8 ms. */
export const SQL: TraceSpec = {
  traceId: '4bf92f3577b34da6a3ce929d0e0e4736',
  startUnixNano: START + 120_000_000_000n,
  roots: [
    {
      name: 'SELECT * FROM users WHERE id = 42',
      service: 'sql-proxy',
      kind: 'server',
      start: 0,
      duration: 4.8 * MS,
      attributes: { 'db.system.name': 'postgresql', 'db.query.text': 'SELECT * FROM users WHERE id = 42', 'db.namespace': 'app', 'dbaas.instance.id': 'pg-7f2' },
      children: [
        { name: 'Connection pool acquire', service: 'sql-proxy', start: 0, duration: 1 * MS },
        { name: 'Proxy routing', service: 'sql-proxy', start: 1 * MS, duration: 0.5 * MS },
        {
          name: 'PostgreSQL query execution',
          service: 'postgres',
          kind: 'server',
          start: 1.5 * MS,
          duration: 3 * MS,
          children: [
            { name: 'Parse', service: 'postgres', start: 1.5 * MS, duration: 0.1 * MS },
            { name: 'Plan', service: 'postgres', start: 1.6 * MS, duration: 0.5 * MS },
            { name: 'Execute', service: 'postgres', start: 2.1 * MS, duration: 2.4 * MS, attributes: { 'db.response.returned_rows': 1, 'postgresql.plan.cost': 8.29 } },
          ],
        },
        { name: 'Result transmission', service: 'sql-proxy', start: 4.5 * MS, duration: 0.3 * MS },
      ],
    },
  ],
};

/** A failover that failed, seen without its root: errors, an exception, a link, a warning, a missing parent. */
export const FAILOVER: TraceSpec = {
  traceId: '5b8efff798038103d269b633813fc60c',
  startUnixNano: START + 240_000_000_000n,
  roots: [
    {
      name: '',
      service: '',
      placeholder: true,
      start: 0,
      duration: 21 * S,
      children: [
        { name: 'detect', service: 'health-checker', start: 0, duration: 6 * S, attributes: { 'check.failures': 3 } },
        { name: 'fence', service: 'failover-manager', start: 6 * S, duration: 2 * S },
        {
          name: 'promote',
          service: 'failover-manager',
          start: 8 * S,
          duration: 12 * S,
          error: 'promotion timed out after 10s',
          links: [{ traceId: CREATE_INSTANCE.traceId, spanId: '0000b7ad00000001' }],
          events: [
            {
              at: 19 * S,
              name: 'exception',
              attributes: {
                'exception.type': 'TimeoutError',
                'exception.message': 'promotion timed out after 10s',
                'exception.stacktrace': 'TimeoutError: promotion timed out after 10s\n  at promote (failover.go:118)\n  at run (failover.go:64)',
              },
            },
          ],
          children: [
            { name: 'pg_ctl promote', service: 'agent', start: 8.1 * S, duration: 12.4 * S, error: 'exit status 1', warnings: ['outside_parent'], attributes: { 'process.command_args': { arrayValue: { values: [{ stringValue: 'pg_ctl' }, { stringValue: 'promote' }] } } } },
          ],
        },
      ],
    },
  ],
};

/** `count` spans over an hour: phases of ten steps, every step with leaves; every thousandth span fails. */
export function largeTrace(count: number): TraceSpec {
  const hour = 3600 * S;
  const services = ['control-api', 'provisioner', 'scheduler', 'agent', 'sql-proxy', 'postgres', 'backup', 'health-checker'];
  const root: SpanSpec = { name: 'MigrateFleet', service: services[0]!, start: 0, duration: hour, children: [] };
  const perPhase = 100;
  const phases = Math.ceil((count - 1) / perPhase);
  let made = 1;
  for (let p = 0; p < phases && made < count; p++) {
    const phase: SpanSpec = { name: `Migrate instance ${p}`, service: services[p % 8]!, start: Math.floor((p * hour) / phases), duration: Math.floor(hour / phases), children: [] };
    root.children!.push(phase);
    made++;
    for (let s = 1; s < perPhase && made < count; s++) {
      const step = Math.floor(phase.duration / perPhase);
      phase.children!.push({
        name: `step ${s}`,
        service: services[(p + s) % 8]!,
        start: phase.start + s * step,
        duration: Math.floor(step * 0.8),
        ...(made % 1000 === 0 ? { error: 'failed' } : {}),
        attributes: { 'dbaas.instance.id': `pg-${p}`, 'step.number': s },
      });
      made++;
    }
  }
  return { traceId: 'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa', startUnixNano: START + 360_000_000_000n, roots: [root] };
}

