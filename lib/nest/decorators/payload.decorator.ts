import type { PipeTransform, Type } from '@nestjs/common';

/** Where Nest keeps what is known of a method's parameters. */
export const ROUTE_ARGUMENTS_METADATA = '__routeArguments__';

/**
 * Nest's number for a request's body. A payload takes its place, so that pipes treat it as one: a plain `ValidationPipe`
 * skips the parameters of custom decorators.
 */
export const BODY_PARAMETER = 3;

type Pipe = Type<PipeTransform> | PipeTransform;

/**
 * The payload of the job, or one field of it, through pipes when any are given.
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
