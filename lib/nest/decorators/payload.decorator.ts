import type { PipeTransform, Type } from '@nestjs/common';

/** Nest's metadata key for the parameters of a method. */
export const ROUTE_ARGUMENTS_METADATA = '__routeArguments__';

/**
 * Nest's parameter type for a request's body. The payload uses it, because a plain `ValidationPipe` skips the parameters of
 * custom decorators.
 */
export const BODY_PARAMETER = 3;

type Pipe = Type<PipeTransform> | PipeTransform;

/**
 * Injects the job's payload, or one of its fields, into a parameter of a handler. Pipes transform and validate it; when a pipe
 * throws, the job fails without a retry.
 *
 * @example
 * @JobHandler('send_mail')
 * send(@Payload() mail: SendMailDto, @Payload('to', TrimPipe) to: string) {}
 *
 * @publicApi
 */
export function Payload(...pipes: Pipe[]): ParameterDecorator;
export function Payload(field: string, ...pipes: Pipe[]): ParameterDecorator;
export function Payload(...given: (string | Pipe)[]): ParameterDecorator {
  const [first, ...rest] = given;
  const field = typeof first === 'string' ? first : undefined;
  const pipes = (field === undefined ? given : rest) as Pipe[];
  return (target, name, index) => {
    const known = Reflect.getMetadata(ROUTE_ARGUMENTS_METADATA, target.constructor, name!) as object | undefined;
    const metadata = { ...known, [`${BODY_PARAMETER}:${index}`]: { index, data: field, pipes } };
    Reflect.defineMetadata(ROUTE_ARGUMENTS_METADATA, metadata, target.constructor, name!);
  };
}
